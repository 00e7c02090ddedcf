"""Tools that come and go while their node serves."""

from __future__ import annotations

import json
import logging

import pytest
from tests.support.asker import Asker, reason, text
from tests.support.hosts import Gate, docs, node
from tests.support.links import eventually

from longreach import Actor, Crash, Server, tool
from longreach.transport.memory import MemoryBroker


async def test_a_tool_replaced_while_the_old_one_still_runs_stays_in_the_group(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    """The old actor stops long after the new one joined, and must not take the new one's subscriptions."""
    server = docs(gate)

    async def new() -> str:
        return "new"

    async with node(broker, server) as host:
        asker.request("wait")
        await gate.begins()
        server.remove_tool("wait")
        server.add_tool(new, name="wait")
        spec = server.tools["wait"]
        await eventually(lambda: any(cell.specs.get(spec.id) is spec for cell in cells(host)))
        await asker.settle()
        assert text(await asker.ask("wait", call="2-0-f")) == "new"
        gate.release.set()
        assert text(await asker.answer()) == "waited"
        await eventually(lambda: not host._hosted[0].tree._retiring)
        await asker.settle()
        assert text(await asker.ask("wait", call="3-0-f")) == "new"
        assert text(await asker.ask("wait", call="4-0-f", to=f"n-{host.instance}")) == "new"


def cells(host):
    return host._hosted[0].tree.cells


async def test_a_removed_tool_is_gone_from_every_address(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M1.5: subscribed only while the tool can take calls; for nobody, the broker answers at once."""
    server = docs(gate)
    async with node(broker, server) as host:
        for to in ("_", "v1"):
            assert text(await asker.ask("echo", call=f"{to.strip('_')}1-0-f", to=to)) == "hi"
        server.remove_tool("echo")
        await asker.settle()
        for to in ("_", "v1"):
            call = f"{to.strip('_')}2-0-f"
            asker.request("echo", call=call, to=to)
            await asker.settle()
            assert [heard.headers for heard in asker.heard if heard.call == call] == [{"Status": "503"}]
        answer = await asker.ask("echo", call="3-0-f", to=f"n-{host.instance}")
        assert answer["error"]["code"] == -32602


async def test_another_major_version_is_not_served(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M1.5"""
    async with node(broker, docs(gate)):
        asker.request("echo", to="v2")
        await asker.settle()
        assert asker.heard[0].headers == {"Status": "503"}


async def test_a_tool_added_at_run_time_is_called_and_announced(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    server = docs(gate)
    async with node(broker, server) as host:
        before = host.digests["docs"]

        @server.tool
        async def later() -> str:
            return "later"

        await eventually(lambda: host.digests["docs"] != before)
        assert text(await asker.ask("later")) == "later"


async def test_a_handler_in_a_thread_may_add_and_remove(broker: MemoryBroker, gate: Gate, asker: Asker):
    server = docs(gate)

    @server.tool
    def change() -> str:
        server.add_tool(lambda: "later", name="later")
        server.remove_tool("echo")
        server.notify_resource_updated("docs://one")
        return "changed"

    async with node(broker, server) as host:
        before = host.digests["docs"]
        assert text(await asker.ask("change")) == "changed"
        await eventually(lambda: host.digests["docs"] != before)
        assert text(await asker.ask("later", call="2-0-f")) == "later"
        asker.request("echo", call="3-0-f")
        await asker.settle()
        assert [heard.headers for heard in asker.heard if heard.call == "3-0-f"] == [{"Status": "503"}]


async def test_an_actor_that_crashed_leaves_the_group_and_comes_back(broker: MemoryBroker, asker: Asker):
    """M1.5: while it cannot take calls, the broker says so; sent to this very node, it refuses."""
    server = Server("docs")

    @server.actor
    class Counter(Actor):
        @tool
        async def crash(self) -> str:
            raise Crash

        @tool
        async def count(self) -> str:
            return "1"

    async with node(broker, server) as host:
        assert reason(await asker.ask("crash")) == "crashed_actor"
        await asker.settle()
        asker.request("count", call="2-0-f")
        assert reason(await asker.ask("count", call="3-0-f", to=f"n-{host.instance}")) == "crashed"
        assert [heard.headers for heard in asker.heard if heard.call == "2-0-f"] == [{"Status": "503"}]
        await eventually(lambda: cells(host)[0].state == "ready")
        await asker.settle()
        assert text(await asker.ask("count", call="4-0-f")) == "1"


async def test_a_stopped_node_leaves_its_server_alone(broker: MemoryBroker, gate: Gate):
    """A server outlives its nodes: what is declared later is none of theirs, loop or no loop."""
    server = docs(gate)
    for _ in range(3):
        async with node(broker, server):
            assert len(server._listeners) == 2
    for listeners in (server._listeners, server._update_listeners, server._suspension_listeners):
        assert len(listeners) == 0


@pytest.mark.parametrize(
    ("method", "tail", "code"),
    [
        ("tools/call", "tools-call.absent", -32602),
        ("prompts/get", "prompts-get.absent", -32602),
        ("later/thing", "later-thing._", -32601),
    ],
)
async def test_what_this_node_does_not_have_is_said_by_it(
    broker: MemoryBroker, gate: Gate, asker: Asker, method: str, tail: str, code: int
):
    """M5.7"""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "absent"}}
    async with node(broker, docs(gate)) as host:
        subject = f"req.docs.n-{host.instance}._._.{tail}"
        asker.send(subject, json.dumps(body).encode(), "1-0-f")
        answer = await asker.answer("1-0-f")
        assert answer["error"]["code"] == code
        asker.send(f"req.docs._._._.{tail}", json.dumps(body).encode(), "2-0-f")
        await asker.settle()
        assert asker.heard[-1].headers == {"Status": "503"}


async def test_malformed_subjects_to_this_node_reach_nobody(
    broker: MemoryBroker, gate: Gate, asker: Asker, caplog
):
    async with node(broker, docs(gate)) as host:
        for tail in ("x", "_._.tools-call", "_._.tools-call.echo.more"):
            asker.send(f"req.docs.n-{host.instance}.{tail}", b"{}", "1-0-f")
        await asker.settle()
        assert [heard.headers for heard in asker.heard] == [{"Status": "503"}] * 3
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
