"""Offers of large requests are charged when they come, as requests are. Source: docs/binding.md 16."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support.asker import META
from tests.support.hosts import Gate, node
from tests.support.links import eventually
from tests.support.parts import PartsAsker, request

from longreach import Actor, Limits, Node, Server, tool
from longreach.clock import FakeClock
from longreach.transport.memory import MemoryBroker
from longreach.wire.digest import digest

TEXT = "row, " * 4000
BODY = request("size", text=TEXT)
SIZE = len(BODY)


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker(max_payload=4096)


def server(
    gate: Gate, limits: Limits | None = None, of_server: Limits | None = None, **options: Any
) -> Server:
    made = Server("docs", version="1.0.0", limits=of_server)

    @made.tool(limits=limits, timeout_s=60, **options)
    async def size(text: str) -> int:
        await gate()
        return len(text)

    @made.resource("doc://{name}", limits=limits)
    async def doc(name: str) -> str:
        return name

    return made


@asynccontextmanager
async def hosting(
    broker: MemoryBroker, made: Server, **options: Any
) -> AsyncIterator[tuple[Node, PartsAsker, PartsAsker]]:
    async with node(broker, made, **{"drain_timeout_s": 0.05, **options}) as host:
        first, second = (PartsAsker(broker, host.instance, asker=f"_.{name}") for name in ("alice", "bob"))
        yield host, first, second


def requests_of(host: Node) -> Any:
    assert host._parts is not None
    return host._parts.large.requests


def refusal(answer: Any) -> tuple[str, str | None]:
    data = answer["error"]["data"]
    return data["reason"], data.get("limit")


def offer(asker: PartsAsker, *numbers: int, body: bytes = BODY, **changes: Any) -> None:
    for number in numbers:
        asker.offer("size", body, f"{number}-0-f", **changes)


async def whole(asker: PartsAsker, number: int, body: bytes = BODY, pulled: int = 0) -> None:
    """Put what is asked for of an offer, until all of it was."""
    call, sent, count = f"{number}-0-f", 0, pulled
    while sent < len(body):
        count += 1
        pull = (await asker.frame("pull", call, count)).head
        asker.put(body, pull["at"], pull["bytes"], call)
        sent = max(sent, pull["at"] + pull["bytes"])


async def refused(asker: PartsAsker, number: int) -> tuple[str, str | None]:
    return refusal(await asker.answer(f"{number}-0-f"))


async def test_a_flood_of_offers_gets_as_many_places_as_requests_would(broker: MemoryBroker):
    """M16.11: one runs, one waits; the others are busy at once, and cost no task."""
    made = server(Gate(), concurrency=1, mailbox=1)
    async with hosting(broker, made) as (host, alice, _):
        offer(alice, *range(50))
        await alice.settle()
        assert len(requests_of(host)) == 2
        assert [await refused(alice, number) for number in range(2, 50)] == [("busy", None)] * 48
        busy = (await alice.answer("9-0-f"))["error"]["data"]
        assert busy["retryAfterMs"] > 0
        assert busy["node"] == f"n1.{host.instance}"


@pytest.mark.parametrize(
    "limits", [Limits(rate_per_s=0.001, burst=3), Limits(fleet_rate_per_s=0.001, burst=3)]
)
async def test_a_rate_counts_an_offer_once_and_keeps_what_it_counted(broker: MemoryBroker, limits: Limits):
    """M16.11: whatever becomes of it: one is whole, one is cancelled, one is still on its way."""
    gate = Gate()
    gate.release.set()
    kind = "rate" if limits.rate_per_s else "fleet_rate"
    async with hosting(broker, server(gate, limits), clock=FakeClock()) as (_, alice, bob):
        offer(alice, 1, 2, 3)
        await whole(alice, 1)
        assert "result" in await alice.answer("1-0-f")
        alice.verb("cancel", msgspec.json.encode({"calls": ["2-0-f"]}), "c-0-f")
        await alice.frame("pull", "3-0-f")
        offer(alice, 4)
        assert await refused(alice, 4) == ("busy", kind)
        offer(alice, 3)  # which is here already
        await whole(alice, 3)
        assert "result" in await alice.answer("3-0-f")
        offer(bob, 1)
        await bob.frame("pull")


async def test_calls_at_once_count_offers_until_their_calls_have_ended(broker: MemoryBroker):
    """M16.11"""
    gate = Gate()
    async with hosting(broker, server(gate, Limits(concurrency=1))) as (host, alice, _):
        for number, end in enumerate(("cancel", "damaged", "malformed", "run"), 1):
            body = b"[1]" * 3000 if end == "malformed" else BODY
            offer(alice, number, body=body)
            await alice.frame("pull", f"{number}-0-f")
            offer(alice, 100 + number)
            assert await refused(alice, 100 + number) == ("busy", "concurrency")
            if end == "cancel":
                alice.verb("cancel", msgspec.json.encode({"calls": ["1-0-f"]}), "c-0-f")
                await eventually(lambda: len(requests_of(host)) == 0)
            elif end == "damaged":
                await whole(alice, number, BODY[:-4] + b"    ")
                assert await refused(alice, number) == ("not_here", None)
            elif end == "malformed":
                await whole(alice, number, body)
                assert (await alice.answer(f"{number}-0-f"))["error"]["code"] == -32600
            else:
                await whole(alice, number)
                await gate.begins()
                offer(alice, 200)
                assert await refused(alice, 200) == ("busy", "concurrency")
                gate.release.set()
                assert "result" in await alice.answer(f"{number}-0-f")
        offer(alice, 5)
        await whole(alice, 5)
        assert "result" in await alice.answer("5-0-f")


async def test_what_comes_twice_while_its_caller_is_at_its_limit_is_not_refused(broker: MemoryBroker):
    """M16.11: a refusal of the second one would say of the first one that it never begins."""
    gate = Gate()
    async with hosting(broker, server(gate, Limits(concurrency=1))) as (_, alice, _bob):
        offer(alice, 1)
        await whole(alice, 1)
        await gate.begins()
        offer(alice, 1)
        alice.call("size", "1-0-f", text="x")
        await alice.settle()
        gate.release.set()
        assert "result" in await alice.answer("1-0-f")
        assert gate.ran == 1
        assert len([each for each in alice.heard if each.kind is None]) == 1


async def test_the_newest_offer_of_the_caller_with_most_gives_way(broker: MemoryBroker):
    """M16.11"""
    async with hosting(broker, server(Gate(), concurrency=1, mailbox=2)) as (host, alice, bob):
        offer(alice, 1, 2, 3)
        await alice.frame("pull", "3-0-f")
        offer(bob, 1)
        await bob.frame("pull")
        assert await refused(alice, 3) == ("busy", None)
        bob.call("size", "2-0-f", text="small")  # begins at once, and needs a place as well
        assert await refused(alice, 2) == ("busy", None)
        assert len(requests_of(host)) == 2


async def test_what_is_whole_finds_its_place(broker: MemoryBroker):
    """M16.11: others came meanwhile, and one runs."""
    gate = Gate()
    async with hosting(broker, server(gate, concurrency=1, mailbox=1)) as (_, alice, bob):
        bob.call("size", "1-0-f", text="small")
        await gate.begins()
        offer(alice, 1)
        await alice.frame("pull")
        alice.call("size", "2-0-f", text="small")
        assert await refused(alice, 2) == ("busy", None)
        await whole(alice, 1)
        gate.release.set()
        assert "result" in await alice.answer("1-0-f")
        assert "result" in await bob.answer("1-0-f")


async def test_what_shares_a_subject_is_limited_when_it_comes_and_when_it_is_whole(broker: MemoryBroker):
    """M16.11: the server's limits at its offer; those of the resource once it says which one it is for."""
    made = server(Gate(), Limits(rate_per_s=0.001, burst=1), Limits(concurrency=1))
    pad = {**META, "example/pad": "x" * 9000}
    body = msgspec.json.encode(
        {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "doc://a", "_meta": pad}}
    )
    head = msgspec.json.encode({"size": len(body), "digest": digest(body)})
    async with hosting(broker, made, clock=FakeClock()) as (_, alice, _bob):

        def read(number: int) -> None:
            alice.post("req.docs._._.alice.resources-read._", head, f"{number}-0-f", {"Lr": "parts"})

        read(1)
        await alice.frame("pull", "1-0-f")
        read(2)
        assert await refused(alice, 2) == ("busy", "concurrency")
        await whole(alice, 1, body)
        assert "result" in await alice.answer("1-0-f")
        read(3)
        await whole(alice, 3, body)
        assert await refused(alice, 3) == ("busy", "rate")
        read(4)
        await alice.frame("pull", "4-0-f")  # the server's limit has its place back


async def test_places_for_what_shares_a_subject_are_as_many_as_its_actors_have(broker: MemoryBroker):
    """M16.11"""
    made = Server("docs", version="1.0.0")

    @made.resource("doc://one", concurrency=1, mailbox=1)
    async def one() -> str:
        return "1"

    @made.resource("doc://two", concurrency=1, mailbox=2)
    async def two() -> str:
        return "2"

    head = msgspec.json.encode({"size": SIZE, "digest": digest(BODY)})
    async with hosting(broker, made) as (host, alice, bob):
        for number in range(9):
            alice.post("req.docs._._.alice.resources-read._", head, f"{number}-0-f", {"Lr": "parts"})
        await alice.settle()
        assert len(requests_of(host)) == 5
        bob.post("req.docs._._.bob.resources-read._", head, "1-0-f", {"Lr": "parts"})
        await bob.frame("pull")
        assert await refused(alice, 4) == ("busy", None)


async def test_two_who_offer_and_put_nothing_deny_nobody(broker: MemoryBroker):
    """M16.7"""
    async with hosting(broker, server(Gate()), max_body_bytes=SIZE) as (host, alice, bob):
        offer(alice, 1, 2)
        offer(bob, 1, 2)
        await eventually(lambda: len(requests_of(host)) == 4)
        carol = PartsAsker(broker, host.instance, asker="_.carol")
        offer(carol, 1)
        await carol.frame("pull")
        assert await refused(alice, 1) == ("busy", None)
        assert requests_of(host)._room.used <= 4 * SIZE


async def test_what_waits_in_a_mailbox_keeps_its_room_and_gives_way_as_well(broker: MemoryBroker):
    """M16.7: a body is held by the node until its call begins."""
    gate = Gate()
    async with hosting(broker, server(gate, concurrency=1), max_body_bytes=SIZE) as (host, alice, bob):
        room = requests_of(host)._room
        bob.call("size", "9-0-f", text="small")
        await gate.begins()
        offer(alice, 1, 2)
        for number in (1, 2):
            await whole(alice, number)
        await eventually(lambda: len(requests_of(host)) == 0)
        assert room.used == 2 * SIZE
        offer(alice, 3)
        assert await refused(alice, 3) == ("busy", None)
        offer(bob, 1, 2)
        await bob.frame("pull", "2-0-f")
        carol = PartsAsker(broker, host.instance, asker="_.carol")
        offer(carol, 1)
        await carol.frame("pull")
        assert await refused(alice, 1) == ("busy", None)
        assert room.used == 4 * SIZE
        gate.release.set()
        assert "result" in await alice.answer("2-0-f")
        for number in (1, 2):
            bob.verb("cancel", msgspec.json.encode({"calls": [f"{number}-0-f"]}), "c-0-f")
        carol.verb("cancel", msgspec.json.encode({"calls": ["1-0-f"]}), "c-0-f")
        await eventually(lambda: len(requests_of(host)) == 0)
        requests_of(host)._settle()
        assert (room.used, gate.ran) == (0, 2)


async def test_none_is_refused_for_being_small(broker: MemoryBroker):
    """M16.11: an asker behind a broker with a smaller `max_payload` offers what would fit here."""
    gate = Gate()
    gate.release.set()
    small = request("size", text="x")
    async with hosting(broker, server(gate, Limits(rate_per_s=100))) as (_, alice, _bob):
        offer(alice, 1, body=small)
        await whole(alice, 1, small)
        assert "result" in await alice.answer("1-0-f")
        offer(alice, 2, body=small, inline=len(small))
        assert "result" in await alice.answer("2-0-f")


async def test_an_actor_that_crashes_or_leaves_sends_what_is_coming_elsewhere(broker: MemoryBroker):
    """M16.11: as what waits."""

    class Board(Actor):
        @tool(timeout_s=60)
        async def size(self, text: str) -> int:
            raise SystemExit

    made = Server("docs", version="1.0.0")
    made.add_actor(Board)
    async with hosting(broker, made) as (host, alice, _):
        offer(alice, 1)
        await alice.frame("pull")
        alice.call("size", "2-0-f", text="x")
        assert await refused(alice, 1) == ("crashed", None)
        assert len(requests_of(host)) == 0
