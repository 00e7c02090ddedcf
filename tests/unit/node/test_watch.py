"""Slow calls, on a clock that stands still until it is told to go on."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.support.asker import META, Asker, reason, request, text
from tests.support.hosts import Gate, docs, node
from tests.support.links import eventually

from longreach import Node
from longreach.clock import FakeClock
from longreach.transport.memory import MemoryBroker


def look(host: Node, clock: FakeClock, after_s: float) -> None:
    """What the timer of the node does `after_s` later."""
    clock.advance(after_s)
    host._parts.slow._tick()


async def begun(asker: Asker, gate: Gate, call: str, tool: str = "wait") -> None:
    asker.request(tool, call=call)
    await gate.begins()


async def test_accepted_comes_once_and_only_for_slow_calls(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M4.1 and M4.2: after 250 ms, once, not to an asker whose flag is `n`, and before the response."""
    clock = FakeClock()
    async with node(broker, docs(gate), clock=clock) as host:
        await begun(asker, gate, "1-0-f")
        await begun(asker, gate, "2-0-n")
        look(host, clock, 0.2)
        await asker.settle()
        assert asker.heard == []
        look(host, clock, 0.05)
        look(host, clock, 1)
        gate.release.set()
        for call in ("1-0-f", "2-0-n"):
            assert text(await asker.answer(call)) == "waited"
        look(host, clock, 1)
        await asker.settle()
        assert [heard.frame for heard in asker.heard if heard.call == "1-0-f"] == ["accepted", None]
        assert asker.frames("2-0-n") == []
        accepted = next(heard.body for heard in asker.heard if heard.frame)
        assert accepted == {"identity": "n1", "instance": host.instance, "region": "local"}


async def test_the_timer_is_set_by_a_call_and_sends_accepted(broker: MemoryBroker, gate: Gate, asker: Asker):
    """The one test that waits for the real 250 ms."""
    async with node(broker, docs(gate)) as host:
        await begun(asker, gate, "1-0-f")
        await asker.until(lambda: asker.frames("1-0-f"))
        gate.release.set()
        await asker.answer("1-0-f")
        await begun(asker, gate, "2-0-f")
        assert host._parts.slow._timer is not None
        await asker.until(lambda: asker.answers("2-0-f"))


async def test_calls_of_a_connection_that_fell_silent_are_cancelled(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    """M7.4: 15 s after `accepted`, but for those that keep running, and those of other connections."""
    clock, other = FakeClock(), Asker(broker, connection="other")
    async with node(broker, docs(gate), clock=clock) as host:
        await begun(asker, gate, "1-0-f")
        await begun(asker, gate, "2-0-f", "keep")
        look(host, clock, 0.25)
        look(host, clock, 10)
        await begun(other, gate, "1-0-f")
        look(host, clock, 4.9)
        await asker.settle()
        assert asker.answers("1-0-f") == []
        look(host, clock, 0.2)
        assert reason(await asker.answer("1-0-f")) == "caller_silent"
        await asker.settle()
        assert gate.cancelled == 1
        gate.release.set()
        assert text(await asker.answer("2-0-f")) == "kept"
        assert text(await other.answer("1-0-f")) == "waited"


async def test_any_word_of_a_connection_is_a_sign_of_life(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M7.4: a request or a question, whatever it is about."""
    clock = FakeClock()
    async with node(broker, docs(gate), clock=clock) as host:
        me = f"n1.{host.instance}"
        listing = msgspec.json.encode(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
        )
        await begun(asker, gate, "1-0-f")
        look(host, clock, 0.25)
        for number, (tail, body) in enumerate(
            [
                ("req.docs._._._.tools-call.echo", request("echo")),
                (f"node.{me}._._.alive", b'{"calls":["1-0-f"]}'),
                ("all.docs._._.whose", b'{"calls":["1-0-f"]}'),
                ("req.docs._._._.tools-list._", listing),
                ("who._._", b"{}"),
                ("all.docs._._.cancel", b'{"calls":[]}'),
            ]
        ):
            asker.send(tail, body, f"a{number}-0-f")
            await asker.settle()
            look(host, clock, 14.9)
        await asker.settle()
        assert asker.answers("1-0-f") == []
        look(host, clock, 0.2)
        assert reason(await asker.answer("1-0-f")) == "caller_silent"


async def test_one_call_that_fails_the_watch_leaves_the_others_watched(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    clock = FakeClock()
    async with node(broker, docs(gate), clock=clock) as host:
        await begun(asker, gate, "1-0-f")
        broken, host._parts.slow._replies.frame = host._parts.slow._replies.frame, None  # type: ignore[method-assign]
        with pytest.raises(TypeError):
            look(host, clock, 0.25)
        host._parts.slow._replies.frame = broken  # type: ignore[method-assign]
        await begun(asker, gate, "2-0-f")
        clock.advance(0.25)
        await asker.until(lambda: asker.frames("2-0-f"))
        gate.release.set()


async def test_a_call_with_a_far_deadline_is_limited_when_it_is_accepted(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    clock = FakeClock()
    async with node(broker, docs(gate), clock=clock) as host:
        call = f"1-{clock.wall_ms() + 400:x}-f"
        await begun(asker, gate, call)
        look(host, clock, 0.39)
        assert reason(await asker.answer(call)) == "deadline"


async def test_closing_stops_the_timer_for_good(broker: MemoryBroker, gate: Gate, asker: Asker):
    host = node(broker, docs(gate), drain_timeout_s=0.01)
    async with host:
        await begun(asker, gate, "1-0-f")
        assert host._parts.slow._timer is not None
    assert host._parts.slow._timer is None
    host._parts.slow.wake(asyncio.get_running_loop().time())
    assert host._parts.slow._timer is None
    await eventually(lambda: gate.cancelled)
