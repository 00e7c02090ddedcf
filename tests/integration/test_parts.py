"""Bodies beyond the broker's max_payload, over real brokers and over links that are bad. Binding: 17."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.support.damage import ROOT
from tests.support.links import eventually
from tests.support.timing import allowed

from longreach import Context, Mesh, NatsOptions, Node, NodeSettings, Server, connect
from longreach.errors import LongreachError, OutcomeUnknown
from longreach.front import Front
from longreach.tasks import TaskSet
from longreach.testing import Broker, NodeProcess, Proxy
from longreach.wire.incoming import decode_incoming

ROW = '{"id": %d, "name": "row %d"}, '
MIB = 1024 * 1024


def rows(size: int) -> str:
    text = "".join(ROW % (number, number) for number in range(size // 30))
    return text[:size]


class Docs:
    def __init__(self) -> None:
        self.ran = 0
        self.server = Server("docs", version="1.0.0")

        @self.server.tool(read_only=True)
        async def echo(text: str) -> str:
            self.ran += 1
            return text

        @self.server.tool()
        async def write(size: int, ctx: Context = Context.injected) -> str:
            self.ran += 1
            return "x" * size


@asynccontextmanager
async def linked(**node: object) -> AsyncIterator[tuple[Broker, Proxy, Docs, Node]]:
    """A node at its broker, and a link to it that can be made bad, for clients."""
    docs = Docs()
    async with Broker() as broker, Proxy(broker.url) as link:
        settings = NodeSettings(
            identity="n1",
            connection=NatsOptions(urls=(broker.url,)),
            drain_timeout_s=0.1,
            **node,  # type: ignore[arg-type]
        )
        async with Node(docs.server, settings=settings) as host:
            yield broker, link, docs, host


def nothing_left(host: Node) -> bool:
    assert host._parts is not None
    return not (len(host._parts.large.results) or len(host._parts.large.requests) or host.in_flight)


@pytest.mark.parametrize("options", [{}, {"compress": True}])
async def test_there_and_back(options: dict[str, bool]) -> None:
    """M16.2 to M16.4: what comes back is what was sent, to the byte."""
    async with linked(compress=True) as (broker, _, docs, host), connect(broker.url, **options) as mesh:
        for size in (MIB - 100, MIB, 20 * MIB):
            text = rows(size)
            assert (await mesh.call("docs.echo", {"text": text})).text == text
        assert docs.ran == 3
        await eventually(lambda: nothing_left(host))


async def test_through_a_front_as_gateways_do(tmp_path: Path) -> None:
    """M16.2: bytes are passed on as they are; the response has the client's own id."""
    async with linked() as (broker, _, _docs, host), connect(broker.url, via="gw") as mesh:
        await mesh.tools()
        text = rows(3 * MIB)
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params = {"name": "docs__echo", "arguments": {"text": text}, "_meta": meta}
        request = {"jsonrpc": "2.0", "id": "mine", "method": "tools/call", "params": params}
        answer = await Front(mesh).handle(decode_incoming(msgspec.json.encode(request)), caller="alice")
        assert answer.code is None
        said = msgspec.json.decode(answer.data)
        assert (said["id"], said["result"]["content"][0]["text"]) == ("mine", text)
        await eventually(lambda: nothing_left(host))


@pytest.mark.timed
async def test_the_loop_goes_on_while_a_large_body_passes() -> None:
    """A client with a large body still hears the others' answers."""
    async with linked() as (broker, _, _docs, _host), connect(broker.url) as mesh:
        await mesh.call("docs.write", {"size": 1})
        large = TaskSet("large").spawn(mesh.call("docs.write", {"size": 30 * MIB}))
        slowest = 0.0
        while not large.done():
            began = time.monotonic()
            await mesh.call("docs.write", {"size": 1})
            slowest = max(slowest, time.monotonic() - began)
        assert len((await large).text) == 30 * MIB
        assert slowest < allowed(2.0)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", ["slow", "delay", "drop", "cut"])
async def test_over_a_bad_link(fault: str) -> None:
    """M16.5: whatever the link does, what comes in the end is whole; the node ran it once."""
    async with linked() as (_, link, docs, host), connect(link.url, timeout_s=40) as mesh:
        await mesh.tools()
        text = rows(2 * MIB)
        match fault:
            case "slow":
                link.slow(1_500_000)
            case "delay":
                link.delay(0.1)
            case "drop":
                link.drop(0.02)
        call = TaskSet("call").spawn(mesh.call("docs.echo", {"text": text}))
        if fault == "cut":
            assert host._parts is not None
            requests = host._parts.large.requests
            await eventually(lambda: len(requests) > 0)
            link.cut()
            await asyncio.sleep(1.0)  # shorter than a connection's own limit: it goes on
            link.heal()
        result = await call
        assert result.text == text
        assert (docs.ran, result.attempts) == (1, 1)
        await eventually(lambda: nothing_left(host))


@pytest.mark.timeout(60)
async def test_a_link_that_is_lost_ends_calls_as_what_they_are() -> None:
    """M16.8: a request that was not whole did not begin; a result that was not fetched ran."""
    async with linked() as (_, link, docs, host), connect(link.url, timeout_s=2.5) as mesh:
        await mesh.tools()
        link.slow(300_000)
        assert host._parts is not None
        large, tasks = host._parts.large, TaskSet("calls")
        going = tasks.spawn(mesh.call("docs.echo", {"text": rows(4 * MIB)}))
        await eventually(lambda: len(large.requests) > 0)
        link.cut(closing=True)
        with pytest.raises(LongreachError) as ended:
            await going
        assert (ended.value.delivered, docs.ran) == ("no", 0)
        link.heal()
        await mesh._session.link.wait_up(10)
        coming = tasks.spawn(mesh.call("docs.write", {"size": 4 * MIB}))
        await eventually(lambda: len(large.results) > 0)
        link.cut(closing=True)
        with pytest.raises(LongreachError) as ended:
            await coming
        assert (ended.value.delivered, docs.ran) == ("unknown", 1)
        await eventually(lambda: nothing_left(host), timeout_s=20)


@pytest.mark.timeout(90)
async def test_a_node_killed_as_its_result_is_fetched(tmp_path: Path) -> None:
    """M16.8: what only looks is run again by another node; what changes something is not."""
    source = tmp_path / "big.py"
    source.write_text(
        "from longreach import Server\n"
        "big = Server('big', version='1.0.0')\n"
        "@big.tool(read_only=True)\n"
        "async def look(size: int) -> str:\n    return 'x' * size\n"
        "@big.tool()\n"
        "async def change(size: int) -> str:\n    return 'x' * size\n"
    )
    environment = {"PYTHONPATH": str(ROOT), **{k: os.environ[k] for k in ("PATH",)}}
    async with Broker() as broker, Proxy(broker.url) as link:
        async with (
            NodeProcess("big.py:big", broker.url, folder=tmp_path, environment=environment) as victim,
            connect(link.url, timeout_s=30) as mesh,
        ):
            await mesh.tools()
            link.slow(1_000_000)
            tasks = TaskSet("calls")
            change = tasks.spawn(mesh.call("big.change", {"size": 6 * MIB}))
            look = tasks.spawn(mesh.call("big.look", {"size": 6 * MIB}))
            bodies = mesh._session.home.sender._bodies
            await eventually(lambda: len(bodies) == 2)
            victim.kill()
            link.heal()
            async with NodeProcess("big.py:big", broker.url, folder=tmp_path, environment=environment):
                with pytest.raises(OutcomeUnknown):
                    await change
                result = await look
        assert (len(result.text), result.attempts > 1) == (6 * MIB, True)


async def test_memory_is_bounded_however_many_results_wait() -> None:
    """M16.7: nobody fetches; the node keeps what it may keep, and refuses the rest."""
    async with linked(max_body_bytes=4 * MIB) as (_, link, _docs, host):
        calls: list[object] = []
        async with connect(link.url, timeout_s=3) as mesh, asyncio.TaskGroup() as group:
            await mesh.tools()
            link.slow(200_000, "down")

            async def one(mesh: Mesh) -> None:
                try:
                    calls.append(await mesh.options(idempotent=False).call("docs.write", {"size": 3 * MIB}))
                except LongreachError as error:
                    calls.append(error)

            for _ in range(12):
                _ = group.create_task(one(mesh))
            assert host._parts is not None
            results = host._parts.large.results
            await eventually(lambda: len(results) > 1)
            assert results._room.used <= 8 * MIB
        assert len(calls) == 12
        refused = [each for each in calls if isinstance(each, LongreachError)]
        assert {each.delivered for each in refused} <= {"yes", "unknown"}
        await eventually(lambda: nothing_left(host), timeout_s=20)
