"""Limits of callers on a node: refused as busy, with the kind of limit and when to come back."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.asker import Asker
from tests.support.hosts import Gate, docs, node, settings
from tests.support.links import eventually

from longreach import Limits, Server
from longreach.clock import FakeClock
from longreach.errors import ConfigError
from longreach.node import fleet
from longreach.node.limiting import LimitedIntake
from longreach.transport.memory import MemoryBroker


def said(answer: Any) -> tuple[int, str, str]:
    error = answer["error"]
    assert error["data"]["retryAfterMs"] > 0
    return error["code"], error["data"]["reason"], error["data"]["limit"]


RATE, COUNT = (-31900, "busy", "rate"), (-31900, "busy", "concurrency")


async def ask(asker: Asker, tool: str, count: int, first: int = 0) -> list[Any]:
    return [await asker.ask(tool, call=f"{number}-0-f") for number in range(first, first + count)]


def server_with(limits: Limits | None, of_tool: Limits | None = None) -> Server:
    server = Server("docs", limits=limits)

    @server.tool(limits=of_tool)
    async def one() -> str:
        return "1"

    @server.tool
    async def two() -> str:
        return "2"

    return server


async def test_a_server_s_rate_counts_all_its_tools_and_each_caller_apart(broker: MemoryBroker, asker: Asker):
    """M5.6"""
    async with node(broker, server_with(Limits(rate_per_s=0.001, burst=2)), clock=FakeClock()):
        other = Asker(broker, asker="_.other")
        first = await asker.ask("one", call="1-0-f")
        second = await asker.ask("two", call="2-0-f")
        assert "result" in first
        assert "result" in second
        assert said(await asker.ask("one", call="3-0-f")) == RATE
        assert said(await asker.ask("two", call="4-0-f")) == RATE
        assert "result" in await other.ask("one")
        await other.link.close()


async def test_a_tool_s_rate_is_its_own_and_time_gives_more(broker: MemoryBroker, asker: Asker):
    clock = FakeClock()
    async with node(broker, server_with(None, Limits(rate_per_s=1)), clock=clock):
        answers = await ask(asker, "one", 2)
        assert "result" in answers[0]
        assert said(answers[1]) == RATE
        assert all("result" in answer for answer in await ask(asker, "two", 5, 10))
        clock.advance(1.0)
        assert "result" in await asker.ask("one", call="99-0-f")


async def test_calls_under_way_end_in_whatever_way_and_give_their_place_back(
    broker: MemoryBroker, asker: Asker, gate: Gate
):
    async with node(broker, docs(gate, limits=Limits(concurrency=1))) as host:
        asker.request("wait", call="1-0-f")
        await gate.begins()
        assert said(await asker.ask("echo", call="2-0-f")) == COUNT
        asker.send(f"node.n1.{host.instance}._._.cancel", b'{"calls":["1-0-f"]}', "c-0-f")
        await asker.answer("1-0-f")
        await eventually(lambda: gate.cancelled == 1)
        assert "result" in await asker.ask("echo", call="3-0-f")
        asker.request("echo", {"text": 5}, call="4-0-f")  # which is a tool error
        await asker.answer("4-0-f")
        assert "result" in await asker.ask("echo", call="5-0-f")


async def test_a_call_that_comes_twice_takes_one_place(broker: MemoryBroker, asker: Asker, gate: Gate):
    async with node(broker, docs(gate, limits=Limits(concurrency=2))):
        for _ in range(5):
            asker.request("wait", call="1-0-f")
        await gate.begins()
        assert "result" in await asker.ask("echo", call="2-0-f")
        gate.release.set()
        await asker.answer("1-0-f")


async def test_a_node_s_limits_count_all_servers(broker: MemoryBroker, asker: Asker):
    other = Server("other")

    @other.tool
    async def three() -> str:
        return "3"

    limits = Limits(rate_per_s=0.001, burst=1)
    async with node(broker, server_with(None), other, limits=limits, clock=FakeClock()):
        assert "result" in await asker.ask("one", call="1-0-f")
        assert said(await asker.ask("two", call="2-0-f")) == RATE


async def test_what_shares_a_subject_is_limited_as_well(broker: MemoryBroker, asker: Asker):
    server = Server("docs")

    @server.resource("docs://a", limits=Limits(concurrency=1, rate_per_s=0.001, burst=1))
    async def a() -> str:
        return "a"

    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"docs://a","_meta":'
        b'{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        b'"io.modelcontextprotocol/clientCapabilities":{}}}}'
    )
    async with node(broker, server, clock=FakeClock()):
        asker.send("req.docs._._._.resources-read._", body, "1-0-f")
        assert "result" in await asker.answer("1-0-f")
        asker.send("req.docs._._._.resources-read._", body, "2-0-f")
        assert said(await asker.answer("2-0-f")) == RATE


async def test_without_limits_nothing_stands_in_front_of_the_intake(broker: MemoryBroker, gate: Gate):
    async with node(broker, docs(gate)) as host:
        (hosted,) = host._hosted
        assert not any(isinstance(getattr(d, "_intake", None), LimitedIntake) for d in hosted._doors.values())


def test_a_node_alone_is_no_fleet():
    with pytest.raises(ConfigError, match="fleet"):
        settings(limits=Limits(fleet_rate_per_s=5))


async def test_nodes_of_a_fleet_share_what_they_may_do(
    broker: MemoryBroker, asker: Asker, monkeypatch: pytest.MonkeyPatch
):
    """They hear of each other at once, a late one as well; a rate of four is two for each of two."""
    monkeypatch.setattr(fleet, "_WELCOME_S", 0.01)
    limits, clock = Limits(fleet_rate_per_s=4), FakeClock()
    async with node(broker, server_with(limits), clock=clock) as first:
        async with node(broker, server_with(limits), clock=clock) as second:

            def shares() -> list[float]:
                return [host._hosted[0]._limiting._share for host in (first, second)]

            await eventually(lambda: shares() == [0.5, 0.5])
            passed = 0
            for number, host in enumerate((first, second)):
                for each in range(5):
                    call = f"{number}{each}-0-f"
                    passed += "result" in await asker.ask("one", call=call, to=f"n-{host.instance}")
            assert passed == 4
        await eventually(lambda: first._hosted[0]._limiting._share == 1.0)
