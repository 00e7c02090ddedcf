"""Results that no message holds, as the node gives them. Source: docs/binding.md 16."""

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
from tests.support.parts import PartsAsker

from longreach import Node, Server
from longreach.threads import ThreadPool
from longreach.transport.memory import MemoryBroker
from longreach.wire.digest import digest

SIZE = 20_000


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker(max_payload=4096)


def docs() -> Server:
    server = Server("docs", version="1.0.0")

    @server.tool()
    async def big(size: int = SIZE) -> str:
        return "x" * size

    return server


@asynccontextmanager
async def asked(broker: MemoryBroker, **options: Any) -> AsyncIterator[tuple[Node, PartsAsker]]:
    """A node, and an asker that has just been offered a result."""
    connection = options.pop("connection", "c0ffee-p")
    call = options.pop("call", "1-0-f")
    async with node(broker, docs(), **{"drain_timeout_s": 0.05, **options}) as host:
        asker = PartsAsker(broker, host.instance, connection=connection)
        asker.call("big", call)
        yield host, asker


def held(host: Node) -> int:
    assert host._parts is not None
    return len(host._parts.large.results)


async def fetch(asker: PartsAsker, step: int = 2000) -> bytes:
    offer = await asker.frame("parts")
    data = offer.inline
    while len(data) < offer.head["size"]:
        data += await asker.part(len(data), step, len(data))
    return data


async def test_it_is_offered_and_pulled_and_forgotten(broker: MemoryBroker):
    """M16.2, M16.3"""
    async with asked(broker) as (host, asker):
        offer = await asker.frame("parts")
        assert offer.head["identity"] == "n1"
        assert offer.head["instance"] == host.instance
        data = await fetch(asker)
        assert digest(data) == offer.head["digest"]
        assert msgspec.json.decode(data)["result"]["content"][0]["text"] == "x" * SIZE
        assert held(host) == 1
        asker.verb("part", msgspec.json.encode({"call": "1-0-f", "at": len(data), "bytes": 0}), "8-0-f")
        await eventually(lambda: held(host) == 0)
        await asker.settle()
        assert [each for each in asker.heard if each.call == "8-0-f"] == []


async def test_nothing_is_sent_that_was_not_asked_for(broker: MemoryBroker):
    """M16.5"""
    async with asked(broker) as (_, asker):
        await asker.frame("parts")
        await asker.settle()
        assert len(asker.heard) == 1
        assert len(await asker.part(5000, 10**9, 1)) <= 4096
        assert len(await asker.part(5000, 100, 2)) == 100


@pytest.mark.parametrize(("connection", "call"), [("c0ffee", "1-0-f"), ("c0ffee-p", "1-0-n")])
async def test_who_does_not_say_so_gets_the_refusal(broker: MemoryBroker, connection: str, call: str):
    """M16.1, M11.1: an old asker is told as before that the result is too large."""
    async with asked(broker, connection=connection, call=call) as (host, asker):
        answer = await asker.answer(call)
        assert answer["error"]["data"]["reason"] == "result_too_large"
        assert answer["id"] == 1
        assert held(host) == 0


async def test_the_call_is_here_until_it_is_fetched(broker: MemoryBroker):
    """M16.8"""
    async with asked(broker) as (_, asker):
        await asker.frame("parts")
        asker.verb("alive", msgspec.json.encode({"calls": ["1-0-f", "2-0-f"]}), "7-0-f")
        assert (await asker.answer("7-0-f"))["gone"] == ["2-0-f"]


async def test_a_cancel_drops_it(broker: MemoryBroker):
    """M16.8"""
    async with asked(broker) as (host, asker):
        await asker.frame("parts")
        asker.verb("cancel", msgspec.json.encode({"calls": ["1-0-f"]}), "7-0-f")
        await eventually(lambda: held(host) == 0)
        assert await asker.part(0, 100, 1) == b""


async def test_its_deadline_drops_it(broker: MemoryBroker):
    """M16.8"""
    from longreach.clock import SYSTEM_CLOCK

    call = f"1-{SYSTEM_CLOCK.wall_ms() + 1_500:x}-f"
    async with asked(broker, call=call) as (host, asker):
        await asker.frame("parts", call)
        assert held(host) == 1
        await eventually(lambda: held(host) == 0)


async def test_a_silent_caller_loses_it(broker: MemoryBroker):
    """M16.8, M7.4"""
    async with asked(broker, caller_silence_s=0.1) as (host, asker):
        await asker.frame("parts")
        await eventually(lambda: held(host) == 0)


@pytest.mark.parametrize("stranger", [{"asker": "_.alice"}, {"asker": "gw._"}, {"connection": "other-p"}])
async def test_nobody_else_pulls_it_or_drops_it(broker: MemoryBroker, stranger: dict[str, Any]):
    """M16.9"""
    async with asked(broker) as (host, asker):
        await asker.frame("parts")
        other = PartsAsker(broker, host.instance, **stranger)
        assert await other.part(0, 100, 1) == b""
        for verb, body in (
            ("part", {"call": "1-0-f", "at": 10**6, "bytes": 0}),
            ("cancel", {"calls": ["1-0-f"]}),
        ):
            other.verb(verb, msgspec.json.encode(body), "7-0-f")
        await other.settle()
        assert held(host) == 1
        assert await asker.part(0, 100, 1) != b""


async def test_what_is_over_the_limit_is_refused(broker: MemoryBroker):
    """M16.7"""
    async with asked(broker, max_body_bytes=10_000) as (host, asker):
        answer = await asker.answer()
        assert answer["error"]["data"]["reason"] == "result_too_large"
        assert "max_body_bytes = 10000" in answer["error"]["message"]
        assert held(host) == 0


async def test_one_asker_has_only_so_much_room(broker: MemoryBroker):
    """M16.7"""
    async with asked(broker, max_body_bytes=SIZE + 1000) as (host, asker):
        for number in (2, 3):
            asker.call("big", f"{number}-0-f")
        answer = await asker.answer("3-0-f")
        assert "fetch them first" in answer["error"]["message"]
        other = PartsAsker(broker, host.instance, asker="_.bob")
        other.call("big")
        await other.frame("parts")
        assert held(host) == 3


async def offers_of(broker: MemoryBroker, host: Node, name: str, *numbers: int) -> PartsAsker:
    """An asker that has been offered a result for each of `numbers`, and fetches none."""
    asker = PartsAsker(broker, host.instance, asker=f"_.{name}")
    for number in numbers:
        asker.call("big", f"{number}-0-f")
        await asker.frame("parts", f"{number}-0-f")
    return asker


async def test_two_who_never_fetch_deny_nobody(broker: MemoryBroker, caplog: pytest.LogCaptureFixture):
    """M16.7: the oldest result of the one that holds most goes; its asker is told that it ran."""
    async with node(broker, docs(), max_body_bytes=SIZE + 1000, drain_timeout_s=0.05) as host:
        alice = await offers_of(broker, host, "alice", 1, 2)
        bob = await offers_of(broker, host, "bob", 1, 2)
        await alice.part(0, 10, 1, "1-0-f")
        carol = await offers_of(broker, host, "carol", 1)
        dave = await offers_of(broker, host, "dave", 1)
        said = [await alice.answer("2-0-f"), await bob.answer("1-0-f")]
        assert [each["error"]["data"]["reason"] for each in said] == ["result_too_large"] * 2
        assert all("it ran" in each["error"]["message"] for each in said)
        assert said[0]["id"] == 1
        assert await alice.part(0, 10, 2, "2-0-f") == b""
        for asker, call in ((alice, "1-0-f"), (bob, "2-0-f"), (carol, "1-0-f"), (dave, "1-0-f")):
            assert await asker.part(0, 10, 9, call) != b""
        assert [each.getMessage() for each in caplog.records].count("result.dropped") == 2


async def test_what_counts_is_what_is_held(broker: MemoryBroker):
    """M16.7: a result that was compressed takes the room of what is sent."""
    async with asked(broker, compress=True, connection="c0ffee-pz", max_body_bytes=3_000_000) as (
        host,
        asker,
    ):
        asker.call("big", "2-0-f", size=2_900_000)
        await asker.frame("parts", "2-0-f")
        assert host._parts is not None
        assert 0 < host._parts.large.results._room.used < 100_000


async def test_an_idle_result_is_given_up_and_its_asker_is_told(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """M16.8"""
    monkeypatch.setattr("longreach.node.results.IDLE_RESULT_S", 0.2)
    async with asked(broker) as (host, asker):
        await asker.frame("parts")
        await asker.part(0, 10, 1)
        answer = await asker.answer()
        assert answer["error"]["data"]["reason"] == "result_too_large"
        assert "not asked for" in answer["error"]["message"]
        assert held(host) == 0
        assert "result.dropped" in caplog.text


async def test_a_result_that_was_asked_for_to_its_end_is_given_up_in_silence(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    """M16.8: its asker has it, and only its last word was lost; an error would take its answer away."""
    monkeypatch.setattr("longreach.node.results.IDLE_RESULT_S", 0.2)
    async with asked(broker) as (host, asker):
        await fetch(asker)
        await eventually(lambda: held(host) == 0)
        await asker.settle()
        assert [each for each in asker.heard if each.call == "1-0-f" and each.kind is None] == []


async def test_a_drain_tells_those_who_did_not_fetch_in_time(broker: MemoryBroker):
    """M16.8"""
    async with asked(broker, drain_timeout_s=0.05) as (host, asker):
        await asker.frame("parts")
        host._begin_drain("test")
        answer = await asker.answer()
        assert answer["error"]["data"]["reason"] == "result_too_large"
        assert "the node ended" in answer["error"]["message"]


async def test_it_is_compressed_where_both_want_that(broker: MemoryBroker):
    """M16.10"""
    async with asked(broker, compress=True, connection="c0ffee-pz") as (host, asker):
        offer = await asker.frame("parts")
        assert offer.head["encoding"] == "zlib"
        body = zlib.decompress(offer.inline)
        assert len(body) == offer.head["raw"]
        assert b"x" * SIZE in body
        assert held(host) == 0  # all of it came with the offer


@pytest.mark.parametrize("options", [{"compress": True}, {"connection": "c0ffee-pz"}])
async def test_it_is_not_compressed_where_one_does_not(broker: MemoryBroker, options: dict[str, Any]):
    """M16.10"""
    async with asked(broker, **options) as (_, asker):
        assert "encoding" not in (await asker.frame("parts")).head


async def test_a_compressing_node_spares_what_is_small():
    broker = MemoryBroker()
    async with asked(broker, compress=True, connection="c0ffee-pz") as (_, asker):
        assert (await asker.answer())["result"]["content"][0]["text"] == "x" * SIZE
        asker.call("big", "2-0-f", size=100_000)
        assert (await asker.frame("parts", "2-0-f")).head["encoding"] == "zlib"


async def test_a_drain_waits_for_those_who_fetch(broker: MemoryBroker):
    """M16.8"""
    async with asked(broker, drain_timeout_s=5.0) as (host, asker):
        offer = await asker.frame("parts")
        host._begin_drain("test")
        data = offer.inline
        while len(data) < offer.head["size"]:
            data += await asker.part(len(data), 3000, len(data))
        assert digest(data) == offer.head["digest"]
        asker.verb("part", msgspec.json.encode({"call": "1-0-f", "at": len(data), "bytes": 0}), "8-0-f")
        await eventually(lambda: host.state == "stopped")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"call":"1-0-f","at":-1,"bytes":1}', b"\xff\n"])
async def test_a_malformed_question_hurts_nobody(broker: MemoryBroker, body: bytes):
    async with asked(broker) as (host, asker):
        await asker.frame("parts")
        asker.verb("part", body, "7-0-f")
        assert await asker.part(0, 10, 1) != b""
        assert held(host) == 1


async def test_a_deadline_holds_while_a_result_waits_to_be_packed(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """M16.8"""
    from longreach.clock import SYSTEM_CLOCK

    pool, go = ThreadPool("test", 1), threading.Event()
    monkeypatch.setattr("longreach.node.results.BODIES", pool)
    pool.submit(lambda: go.wait(60) and None)
    call = f"1-{SYSTEM_CLOCK.wall_ms() + 1_500:x}-f"
    async with asked(broker, call=call) as (host, _):
        await eventually(lambda: pool.waiting == 1)
        await eventually(lambda: held(host) == 0)
        assert pool.waiting == 0
    go.set()
    assert "result.dropped" in caplog.text


async def test_an_offer_that_was_lost_is_made_again_to_who_asks_about_the_call(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    """M16.12: it may have been on its way when a broker was killed."""
    monkeypatch.setattr("longreach.node.results.OFFER_AGAIN_S", 0.0)
    async with asked(broker) as (_, asker):
        first = await asker.frame("parts")

        def offers() -> int:
            return len([each for each in asker.heard if each.call == "1-0-f"])

        asker.verb("alive", b'{"calls":["1-0-f"]}', "7-0-f")
        await eventually(lambda: offers() == 2)
        again = asker.heard[-1] if asker.heard[-1].call == "1-0-f" else asker.heard[-2]
        assert again.head == first.head
        assert again.inline == b""
        await asker.part(0, 100, 1)
        asker.verb("alive", b'{"calls":["1-0-f"]}', "6-0-f")
        await asker.settle()
        assert offers() == 2, "its asker knows of it"
