"""Requests and results that no message holds, as the client has them. Source: docs/binding.md 16."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support.executor import full_default_executor
from tests.support.hosts import node
from tests.support.links import eventually
from tests.support.puppet import nothing_is_left

from longreach import Mesh, Node, Server, connect
from longreach.errors import CallTimeout, LongreachError, OutcomeUnknown, RemoteError, TooLarge
from longreach.tasks import TaskSet
from longreach.threads import ThreadPool
from longreach.transport.link import Headers
from longreach.transport.memory import MemoryBroker, MemoryLink

BIG = 50_000


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker(max_payload=4096)


class Docs:
    """A server with large answers, and how often it ran."""

    def __init__(self) -> None:
        self.ran = 0
        self.server = Server("docs", version="1.0.0")

        @self.server.tool()
        async def write(text: str = "", size: int = 0) -> str:
            self.ran += 1
            return text or "x" * size

        @self.server.tool(read_only=True)
        async def look(size: int = BIG) -> str:
            self.ran += 1
            return "x" * size

        @self.server.prompt()
        async def ask(size: int) -> str:
            return "x" * size

        @self.server.resource("doc://{size}")
        async def doc(size: int) -> str:
            return "x" * size


Tamper = Callable[[str, bytes, Headers | None], bytes | None]
"""Given (subject, data, headers) of a message that a link sends, what is sent instead; None: nothing."""


class Tampered:
    """A link of which a test loses or changes messages."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self.tamper: Tamper = lambda subject, data, headers: data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    def send(self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
        changed = self.tamper(subject, data, headers)
        if changed is not None:
            self._link.send(subject, changed, reply, headers)


@asynccontextmanager
async def mesh_of(broker: MemoryBroker, **options: Any) -> AsyncIterator[tuple[Mesh, Docs, Node, Tampered]]:
    docs, link = Docs(), Tampered(broker.link())
    node_options = {key: options.pop(key) for key in ("compress_node",) if key in options}
    async with (
        node(broker, docs.server, drain_timeout_s=0.05, compress=bool(node_options)) as host,
        connect(link=link, **{"timeout_s": 5, **options}) as mesh,  # type: ignore[arg-type]
    ):
        await mesh.tools()
        yield mesh, docs, host, link


def left(host: Node, mesh: Mesh) -> tuple[int, int, int, int]:
    assert host._parts is not None
    large = host._parts.large
    return len(large.results), len(large.requests), host.in_flight, len(mesh._session.home.sender._bodies)


@pytest.mark.parametrize("size", [3000, 4096, 10_000, 1_000_000])
@pytest.mark.parametrize("options", [{}, {"compress": True}, {"compress": True, "compress_node": True}])
async def test_a_result_comes_whole(broker: MemoryBroker, size: int, options: dict[str, Any]):
    """M16.2, M16.3, M16.10"""
    async with mesh_of(broker, **options) as (mesh, docs, host, _):
        result = await mesh.call("docs.write", {"size": size})
        assert result.text == "x" * size
        assert (docs.ran, result.attempts) == (1, 1)
        await eventually(lambda: left(host, mesh) == (0, 0, 0, 0))
        nothing_is_left(mesh)


@pytest.mark.parametrize("options", [{}, {"compress": True}])
async def test_a_request_goes_whole(broker: MemoryBroker, options: dict[str, Any]):
    """M16.4: and its result comes back."""
    text = "".join(f"row {number}\n" for number in range(5000))
    async with mesh_of(broker, **options) as (mesh, docs, host, _):
        assert (await mesh.call("docs.write", {"text": text})).text == text
        assert docs.ran == 1
        await eventually(lambda: left(host, mesh) == (0, 0, 0, 0))
        nothing_is_left(mesh)


async def test_prompts_and_resources_too(broker: MemoryBroker):
    """M16.3"""
    async with mesh_of(broker) as (mesh, _, host, _link):
        assert len((await mesh.get_prompt("docs.ask", {"size": BIG})).messages[0].content.text) == BIG
        assert len((await mesh.read("docs", f"doc://{BIG}")).contents[0].text) == BIG
        await eventually(lambda: left(host, mesh) == (0, 0, 0, 0))


async def test_what_is_forwarded_is_passed_on_byte_for_byte(broker: MemoryBroker):
    """M16.2: for another caller than the connection's own."""
    async with mesh_of(broker, via="gw") as (mesh, _, host, _link):
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params = {"name": "write", "arguments": {"text": "y" * BIG}, "_meta": meta}
        request = {"jsonrpc": "2.0", "id": "seven", "method": "tools/call", "params": params}
        answer = await mesh.forward(
            "docs", msgspec.json.encode(request), method="tools/call", name="write", caller="alice"
        )
        assert msgspec.json.decode(answer)["id"] == "seven"
        assert msgspec.json.decode(answer)["result"]["content"][0]["text"] == "y" * BIG
        await eventually(lambda: left(host, mesh)[:3] == (0, 0, 0))


async def test_many_at_once_share_the_room(broker: MemoryBroker):
    """M16.7: beyond the client's own room they wait for each other; on the node there is room for two."""
    async with mesh_of(broker, max_body_bytes=100_000) as (mesh, _, host, _link):
        results = await asyncio.gather(*(mesh.call("docs.look", {"size": 90_000}) for _ in range(20)))
        assert {len(result.text) for result in results} == {90_000}
        await eventually(lambda: left(host, mesh) == (0, 0, 0, 0))


async def test_a_result_over_the_clients_limit_is_told_as_that(broker: MemoryBroker):
    """M16.7: it ran."""
    async with mesh_of(broker, max_body_bytes=10_000) as (mesh, docs, _, _link):
        with pytest.raises(RemoteError, match="max_body_bytes") as ended:
            await mesh.call("docs.look", {})
        assert (ended.value.delivered, ended.value.reason, docs.ran) == ("yes", "result_too_large", 1)
        nothing_is_left(mesh)


async def test_a_lost_part_is_asked_for_again(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch):
    """M16.5"""
    monkeypatch.setattr("longreach.policy.parts.AGAIN_S", 0.01)
    monkeypatch.setattr("longreach.policy.parts.MAX_AGAIN_S", 0.02)
    async with mesh_of(broker) as (mesh, docs, _, link):
        lost = 0

        def lose(subject: str, data: bytes, headers: Headers | None) -> bytes | None:
            nonlocal lost
            if subject.endswith((".part", ".put")):
                lost += 1
                return data if lost % 3 else None
            return data

        link.tamper = lose
        assert (await mesh.call("docs.write", {"text": "y" * BIG})).text == "y" * BIG
        assert lost > 10
        assert docs.ran == 1


async def test_a_damaged_result_is_unknown_and_a_look_is_repeated(broker: MemoryBroker):
    """M16.6: what only looks is run again; what changes something is not."""
    async with mesh_of(broker) as (mesh, docs, host, _):
        replies = host._replies
        genuine = replies._link.send

        def damage(subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
            if docs.ran == 1 and headers is None and len(data) > 1000:
                data = data.replace(b"xx", b"yx")
            genuine(subject, data, reply, headers)

        replies._link.send = damage  # type: ignore[method-assign]
        result = await mesh.call("docs.look", {})
        assert (result.text, docs.ran, result.retries) == ("x" * BIG, 2, ("damaged",))
        docs.ran = 0
        with pytest.raises(OutcomeUnknown) as ended:
            await mesh.call("docs.write", {"size": BIG})
        assert (ended.value.reason, docs.ran) == ("damaged", 1)
        nothing_is_left(mesh)


async def test_a_request_of_which_a_part_never_arrived_did_not_begin(broker: MemoryBroker):
    """M16.8: its timeout says so, although a node had the offer."""
    async with mesh_of(broker, timeout_s=0.15) as (mesh, docs, host, link):
        link.tamper = lambda subject, data, headers: None if subject.endswith(".put") else data
        with pytest.raises(LongreachError) as ended:  # a timeout, or the node's "expired"
            await mesh.call("docs.write", {"text": "y" * 1_000_000})
        assert (ended.value.delivered, docs.ran) == ("no", 0)
        await eventually(lambda: left(host, mesh) == (0, 0, 0, 0))


async def test_a_cancelled_call_drops_its_bodies(broker: MemoryBroker):
    """M16.8: on both sides, in both directions."""
    tasks = TaskSet("calls")
    async with mesh_of(broker) as (mesh, _, host, link):
        for arguments, verb in (({"text": "y" * BIG}, ".put"), ({"size": BIG}, ".part")):
            link.tamper = lambda subject, data, headers, verb=verb: (  # type: ignore[misc]
                None if subject.endswith(verb) else data
            )
            call = tasks.spawn(mesh.call("docs.write", arguments))
            await eventually(lambda: sum(left(host, mesh)[:2]) == 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await eventually(lambda: left(host, mesh) == (0, 0, 0, 0))
            nothing_is_left(mesh)


async def test_a_node_that_takes_no_parts_is_told_from_one_that_ran(broker: MemoryBroker):
    """M16.4, M11.1: what an old node answers to an offer is today's refusal."""
    async with mesh_of(broker) as (mesh, docs, host, _):
        host._intake.large = None
        for hosted in host._hosted:
            for door in hosted._doors.values():
                if hasattr(door, "_intake"):
                    door._intake.large = None
        with pytest.raises(TooLarge, match="takes no requests in parts") as ended:
            await mesh.call("docs.write", {"text": "y" * BIG})
        assert (ended.value.delivered, docs.ran) == ("no", 0)
        nothing_is_left(mesh)


async def test_a_node_may_allow_less_than_the_client(broker: MemoryBroker):
    """M16.7"""
    docs = Docs()
    async with (
        node(broker, docs.server, max_body_bytes=10_000),
        connect(link=broker.link(), timeout_s=5) as mesh,
    ):
        await mesh.tools()
        with pytest.raises(TooLarge, match="10000 bytes") as ended:
            await mesh.call("docs.write", {"text": "y" * BIG})
        assert (ended.value.delivered, docs.ran) == ("no", 0)
        with pytest.raises(RemoteError, match="max_body_bytes = 10000"):
            await mesh.call("docs.write", {"size": BIG})


async def test_a_small_call_meets_nothing_of_it(broker: MemoryBroker):
    async with mesh_of(broker) as (mesh, _, _host, link):
        sent: list[Headers | None] = []
        link.tamper = lambda subject, data, headers: sent.append(headers) or data  # type: ignore[func-returns-value]
        await mesh.call("docs.write", {"text": "y" * 100})
        assert sent == [None]


async def test_a_mesh_that_closes_leaves_nothing(broker: MemoryBroker):
    async with mesh_of(broker) as (mesh, _, _host, link):
        link.tamper = lambda subject, data, headers: None if subject.endswith(".part") else data
        call = TaskSet("calls").spawn(mesh.call("docs.write", {"size": BIG}))
        bodies = mesh._session.home.sender._bodies
        await eventually(lambda: len(bodies) == 1)
        await mesh.close()
        with pytest.raises(OutcomeUnknown):
            await call
        assert len(bodies) == 0
        assert bodies._room.used == 0


async def test_large_bodies_pass_both_ways_while_the_default_executor_is_full(broker: MemoryBroker):
    """M16.4: the user's own blocking work holds up nothing of ours."""
    async with (
        mesh_of(broker, compress=True, compress_node=True) as (mesh, docs, host, _),
        full_default_executor(),
    ):
        result = await mesh.call("docs.write", {"text": "x" * BIG})
        assert len(result.text) == BIG
        assert docs.ran == 1
    assert left(host, mesh) == (0, 0, 0, 0)


async def test_a_deadline_holds_while_a_body_waits_to_be_packed(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    """M16.8: nothing was sent, so that it did not begin."""
    pool = ThreadPool("test", 1)
    monkeypatch.setattr("longreach.client.bodies.BODIES", pool)
    go = threading.Event()
    async with mesh_of(broker) as (mesh, docs, host, _):
        pool.submit(lambda: go.wait(60) and None)
        with pytest.raises(CallTimeout) as caught:
            await mesh.options(timeout_s=0.1).call("docs.write", {"text": "x" * BIG})
        assert caught.value.delivered == "no"
        assert pool.waiting == 0
        go.set()
        assert (await mesh.call("docs.write", {"size": 1})).text == "x"
        assert docs.ran == 1
    assert left(host, mesh) == (0, 0, 0, 0)


async def test_a_result_that_its_node_gives_up_is_told_as_one_that_ran(broker: MemoryBroker):
    """M3.3, M16.8: in the middle of its way; what it had fetched is dropped."""
    async with mesh_of(broker, timeout_s=20) as (mesh, docs, host, link):
        assert host._parts is not None
        results = host._parts.large.results
        link.tamper = lambda subject, data, headers: None if subject.endswith(".part") else data
        async with asyncio.TaskGroup() as group:
            call = group.create_task(refused_of(mesh))
            await eventually(lambda: len(results) == 1 and all(each.data for each in results._held.values()))
            results.close()
            error = await call
        assert isinstance(error, RemoteError)
        assert (error.reason, error.delivered) == ("result_too_large", "yes")
        assert docs.ran == 1
    assert left(host, mesh) == (0, 0, 0, 0)


async def refused_of(mesh: Mesh) -> LongreachError | None:
    try:
        await mesh.options(idempotent=False).call("docs.write", {"size": BIG})
    except LongreachError as error:
        return error
    return None


async def test_a_result_that_waits_for_room_here_is_kept_there(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    """M16.8: its node hears of it, though none of it is wanted yet."""
    monkeypatch.setattr("longreach.client.bodies.KEEP_RESULT_S", 0.02)
    asked: list[int] = []

    def tamper(subject: str, data: bytes, headers: Headers | None) -> bytes | None:
        if not subject.endswith(".part"):
            return data
        size = msgspec.json.decode(data)["bytes"]
        asked.append(size)
        return data if size == 1 else None

    async with mesh_of(broker, timeout_s=20, max_body_bytes=BIG + 1000) as (mesh, _, host, link):
        assert host._parts is not None
        room = mesh._session.home.sender._bodies._room
        assert room.take("another", "", BIG, 0.0) == []
        assert room.take("one more", "", BIG, 0.0) == []
        link.tamper = tamper
        async with asyncio.TaskGroup() as group:
            call = group.create_task(mesh.call("docs.write", {"size": BIG}))
            await eventually(lambda: len(asked) >= 3)
            assert set(asked) == {1}
            link.tamper = lambda subject, data, headers: data
            room.give("another")
            assert len((await call).text) == BIG
        assert mesh._session.home.sender._bodies._keeping is None
