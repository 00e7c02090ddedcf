"""Requests that no message holds, as the node collects them. Source: docs/binding.md 16."""

from __future__ import annotations

import threading
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support.hosts import node
from tests.support.links import eventually
from tests.support.parts import PartsAsker, request

from longreach import Node, Server
from longreach.clock import SYSTEM_CLOCK
from longreach.threads import ThreadPool
from longreach.transport.memory import MemoryBroker

TEXT = "row, " * 4000
BODY = request("size", text=TEXT)


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker(max_payload=4096)


class Ran:
    def __init__(self) -> None:
        self.server = Server("docs", version="1.0.0")
        self.texts: list[str] = []

        @self.server.tool()
        async def size(text: str) -> int:
            self.texts.append(text)
            return len(text)

        @self.server.resource("doc://{name}")
        async def doc(name: str) -> str:
            self.texts.append(name)
            return str(len(name))


@asynccontextmanager
async def hosting(broker: MemoryBroker, **options: Any) -> AsyncIterator[tuple[Node, PartsAsker, Ran]]:
    ran = Ran()
    async with node(broker, ran.server, **{"drain_timeout_s": 0.05, **options}) as host:
        yield host, PartsAsker(broker, host.instance), ran


def coming(host: Node) -> int:
    assert host._parts is not None
    return len(host._parts.large.requests)


def room(host: Node) -> int:
    assert host._parts is not None
    return host._parts.large.requests._room.used


async def serve(asker: PartsAsker, body: bytes, call: str = "1-0-f") -> None:
    """Put what is asked for, until all of it was."""
    sent, count = 0, 0
    while sent < len(body):
        count += 1
        pull = (await asker.frame("pull", call, count)).head
        asker.put(body, pull["at"], pull["bytes"], call)
        sent = max(sent, pull["at"] + pull["bytes"])


def refusal(answer: Any) -> str:
    return str(answer["error"]["data"]["reason"])


async def test_it_is_pulled_and_begins_when_it_is_whole(broker: MemoryBroker):
    """M16.4"""
    async with hosting(broker) as (host, asker, ran):
        asker.offer("size", BODY)
        pull = await asker.frame("pull")
        assert (pull.head["identity"], pull.head["instance"]) == ("n1", host.instance)
        assert pull.head["bytes"] <= 4096
        assert ran.texts == []
        await serve(asker, BODY)
        assert (await asker.answer())["result"]["content"][0]["text"] == str(len(TEXT))
        assert ran.texts == [TEXT]
        assert (coming(host), room(host)) == (0, 0)


async def test_a_resource_is_read_with_a_large_request(broker: MemoryBroker):
    """M16.4: for every method that is a call."""
    async with hosting(broker) as (_, asker, ran):
        meta = {**msgspec.json.decode(BODY)["params"]["_meta"], "example/pad": "x" * 9000}
        params = {"uri": "doc://notes", "_meta": meta}
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params})
        head = msgspec.json.encode({"size": len(body), "digest": digest_of(body)})
        asker.post("req.docs._._._.resources-read._", head, "1-0-f", {"Lr": "parts"})
        await serve(asker, body)
        assert (await asker.answer())["result"]["contents"][0]["text"] == "5"
        assert ran.texts == ["notes"]


def digest_of(body: bytes) -> str:
    from longreach.wire.digest import digest

    return digest(body)


async def test_all_of_it_may_come_with_the_offer(broker: MemoryBroker):
    """M16.2, M16.10"""
    async with hosting(broker) as (_, asker, _ran):
        data = zlib.compress(BODY)
        asker.offer("size", data, inline=len(data), encoding="zlib", raw=len(BODY))
        assert (await asker.answer())["result"]["content"][0]["text"] == str(len(TEXT))


async def test_with_a_part_missing_it_never_begins(broker: MemoryBroker):
    """M16.4, M16.8: at its deadline it is refused as one that has not begun."""
    call = f"1-{SYSTEM_CLOCK.wall_ms() + 1_500:x}-f"
    async with hosting(broker) as (host, asker, ran):
        asker.offer("size", BODY, call)
        pull = (await asker.frame("pull", call)).head
        asker.put(BODY, pull["at"], pull["bytes"], call)
        assert refusal(await asker.answer(call)) == "expired"
        assert ran.texts == []
        assert (coming(host), room(host)) == (0, 0)


async def test_what_is_not_what_was_offered_never_begins(broker: MemoryBroker):
    """M16.6"""
    async with hosting(broker) as (_, asker, ran):
        asker.offer("size", BODY)
        await serve(asker, BODY[:-10] + b" " * 10)
        assert refusal(await asker.answer()) == "not_here"
        assert ran.texts == []


async def test_a_bomb_is_refused(broker: MemoryBroker):
    """M16.6"""
    async with hosting(broker) as (_, asker, ran):
        data = zlib.compress(bytes(3_000_000))
        asker.offer("size", data, inline=0, encoding="zlib", raw=1000)
        await serve(asker, data)
        assert refusal(await asker.answer()) == "not_here"
        assert ran.texts == []


async def test_a_cancel_ends_it(broker: MemoryBroker):
    """M16.4, M6.1"""
    async with hosting(broker) as (host, asker, ran):
        asker.offer("size", BODY)
        await asker.frame("pull")
        asker.verb("cancel", msgspec.json.encode({"calls": ["1-0-f"]}), "7-0-f")
        await eventually(lambda: coming(host) == 0)
        await serve(asker, BODY[:1])
        await asker.settle()
        assert ran.texts == []
        assert [each for each in asker.heard if each.kind is None] == []


async def test_a_cancel_that_overtakes_it_keeps_it_from_beginning(broker: MemoryBroker):
    """M16.4, M6.2"""
    async with hosting(broker) as (_, asker, ran):
        asker.verb("cancel", msgspec.json.encode({"calls": ["1-0-f"]}), "7-0-f")
        asker.offer("size", BODY)
        assert refusal(await asker.answer()) == "not_here"
        assert ran.texts == []


async def test_it_is_here_while_it_comes(broker: MemoryBroker):
    """M16.4, M7.2"""
    async with hosting(broker) as (_, asker, _ran):
        asker.offer("size", BODY)
        await asker.frame("pull")
        asker.post("all.docs._._.whose", msgspec.json.encode({"calls": ["1-0-f"]}), "7-0-f")
        assert (await asker.answer("7-0-f"))["have"] == ["1-0-f"]


async def test_offered_twice_it_runs_once(broker: MemoryBroker):
    async with hosting(broker) as (_, asker, ran):
        asker.offer("size", BODY)
        asker.offer("size", BODY)
        await serve(asker, BODY)
        await asker.answer()
        asker.offer("size", BODY)
        await asker.settle()
        assert len(ran.texts) == 1
        assert len([each for each in asker.heard if each.kind is None]) == 1


@pytest.mark.parametrize("stranger", [{"asker": "_.alice"}, {"connection": "other-p"}])
async def test_nobody_else_puts_a_part_of_it_or_cancels_it(broker: MemoryBroker, stranger: dict[str, Any]):
    """M16.9"""
    async with hosting(broker) as (host, asker, ran):
        asker.offer("size", BODY)
        pull = (await asker.frame("pull")).head
        other = PartsAsker(broker, host.instance, **stranger)
        other.put(b"?" * len(BODY), pull["at"], pull["bytes"])
        other.verb("cancel", msgspec.json.encode({"calls": ["1-0-f"]}), "7-0-f")
        await other.settle()
        await serve(asker, BODY)
        await asker.answer()
        assert ran.texts == [TEXT]


@pytest.mark.parametrize("connection", ["c0ffee", "c0ffee-x"])
async def test_who_does_not_understand_parts_offers_nothing(broker: MemoryBroker, connection: str):
    """M16.1"""
    async with hosting(broker) as (host, _, _ran):
        asker = PartsAsker(broker, host.instance, connection=connection)
        asker.offer("size", BODY)
        assert (await asker.answer())["error"]["code"] == -32600


@pytest.mark.parametrize("changes", [{"size": 10**9}, {"encoding": "zlib", "raw": 10**9}])
async def test_what_is_over_the_limit_is_refused(broker: MemoryBroker, changes: dict[str, Any]):
    """M16.7"""
    async with hosting(broker) as (host, asker, _):
        asker.offer("size", BODY, **changes)
        assert refusal(await asker.answer()) == "request_too_large"
        assert (coming(host), room(host)) == (0, 0)


async def test_one_asker_has_only_so_much_room(broker: MemoryBroker):
    """M16.7"""
    async with hosting(broker, max_body_bytes=len(BODY)) as (host, asker, _):
        for number in range(3):
            asker.offer("size", BODY, f"{number}-0-f")
        answer = await asker.answer("2-0-f")
        assert (refusal(answer), answer["error"]["data"]["retryAfterMs"]) == ("busy", 500)
        other = PartsAsker(broker, host.instance, asker="_.bob")
        other.offer("size", BODY)
        await other.frame("pull")
        assert coming(host) == 3


async def test_a_drain_sends_it_elsewhere(broker: MemoryBroker):
    async with hosting(broker, drain_timeout_s=1) as (host, asker, ran):
        asker.offer("size", BODY)
        await asker.frame("pull")
        host._begin_drain("test")
        assert refusal(await asker.answer()) == "draining"
        assert ran.texts == []


async def test_what_is_whole_and_no_request_is_malformed_once(broker: MemoryBroker):
    """An offer within an offer is none."""
    async with hosting(broker) as (_, asker, _ran):
        inner = msgspec.json.encode({"size": len(BODY), "digest": digest_of(BODY)})
        asker.offer("size", inner, inline=len(inner))
        assert (await asker.answer())["error"]["code"] == -32600


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"call":"1-0-f","at":"x"}\nabc', b'{"call":"1-0-f","at":0}', b"\xff\xff"]
)
async def test_a_malformed_part_hurts_nobody(broker: MemoryBroker, body: bytes):
    """M16.13"""
    async with hosting(broker) as (_, asker, ran):
        asker.offer("size", BODY)
        await asker.frame("pull")
        asker.verb("put", body, "7-0-f")
        await serve(asker, BODY)
        await asker.answer()
        assert ran.texts == [TEXT]


async def test_a_deadline_holds_while_a_request_waits_to_be_unpacked(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    """M16.8: it is refused as one that has not begun."""
    pool, go = ThreadPool("test", 1), threading.Event()
    monkeypatch.setattr("longreach.node.requests.BODIES", pool)
    pool.submit(lambda: go.wait(60) and None)
    call = f"1-{SYSTEM_CLOCK.wall_ms() + 1_500:x}-f"
    async with hosting(broker) as (host, asker, ran):
        asker.offer("size", BODY, call)
        await serve(asker, BODY, call)
        assert refusal(await asker.answer(call)) == "expired"
        assert (coming(host), room(host), pool.waiting) == (0, 0, 0)
        go.set()
        await asker.settle()
        assert ran.texts == []
