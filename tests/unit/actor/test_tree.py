from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.actors import Recorder, eventually, make_call, offer_call

from longreach.actor.call import Cancelled, Completed, NotStarted
from longreach.actor.cell import ActorCell
from longreach.actor.context import Context
from longreach.actor.raw import RawRequest
from longreach.actor.server import Actor, Server, tool
from longreach.actor.tree import ServerTree
from longreach.clock import SYSTEM_CLOCK
from longreach.policy.backoff import Backoff
from longreach.policy.quarantine import Quarantine


def tree_of(server: Server) -> ServerTree:
    return ServerTree(server, clock=SYSTEM_CLOCK, region="eu", node="node.one")


def cell(tree: ServerTree, name: str) -> ActorCell:
    return next(cell for cell in tree.cells if cell.name == name)


async def quick() -> str:
    return "ok"


async def other() -> str:
    return "other"


async def test_the_lifespan_is_entered_first_left_last_and_reachable():
    order = []

    @asynccontextmanager
    async def lifespan(server: Server) -> AsyncIterator[str]:
        entered = asyncio.current_task()
        order.append("in")
        yield f"pool of {server.name}"
        assert asyncio.current_task() is entered
        order.append("out")

    server, seen = Server("s", lifespan=lifespan), Recorder()

    @server.actor
    class Hooked(Actor):
        async def started(self) -> None:
            order.append("started")

        async def stopped(self) -> None:
            order.append("stopped")

        @tool
        async def state(self, ctx: Context) -> str:
            assert ctx.state is ctx.lifespan
            return ctx.lifespan

    tree = tree_of(server)
    await tree.start()
    offer_call(cell(tree, "Hooked"), seen, "a", "state")
    assert await seen.text("a") == "pool of s"
    await tree.stop()
    assert order == ["in", "started", "stopped", "out"]


@pytest.mark.parametrize("error", [ValueError("no database"), SystemExit(3)])
async def test_a_lifespan_that_cannot_be_entered_gives_the_server_up_with_the_reason(error):
    tries, reasons = [], []

    @asynccontextmanager
    async def lifespan(server: Server) -> AsyncIterator[None]:
        tries.append(1)
        raise error
        yield

    server = Server("s", lifespan=lifespan, intensity=2)
    server.add_tool(quick)
    tree = tree_of(server)
    tree.on_failed(reasons.append)
    await tree.start()
    assert len(tries) == 3
    assert len(reasons) == 1
    assert str(error) in reasons[0]
    assert tree.cells == ()
    await tree.stop()


async def test_an_actor_that_starts_at_the_second_try_is_up():
    tries = []
    server = Server("s")

    @server.actor
    class Shy(Actor):
        async def started(self) -> None:
            tries.append(1)
            if len(tries) < 2:
                raise OSError

        @tool
        async def hello(self) -> str:
            return "hello"

    tree, states = tree_of(server), []
    tree.on_state(lambda cell, old, new: states.append(new))
    await tree.start()
    assert states == ["stopped", "ready"]
    assert [cell.state for cell in tree.cells] == ["ready"]
    await tree.stop()


async def test_crashes_by_calls_never_give_the_server_up():
    server, seen, reasons = Server("s", intensity=0), Recorder(), []

    @server.tool
    async def leave() -> str:
        raise SystemExit

    tree = tree_of(server)
    tree.on_failed(reasons.append)
    await tree.start()
    for key in "abcd":
        offer_call(cell(tree, "leave"), seen, key, "leave")
        await seen.ending(key)
        if key < "d":
            await eventually(lambda: cell(tree, "leave").state == "ready")
    await eventually(lambda: cell(tree, "leave").state == "quarantined")
    assert reasons == []
    await tree.stop()


async def test_tools_come_and_go_at_run_time_and_running_calls_of_a_removed_one_end():
    server, seen, go = Server("s"), Recorder(), asyncio.Event()

    @server.tool
    async def wait() -> str:
        await go.wait()
        return "through"

    tree = tree_of(server)
    await tree.start()
    old = cell(tree, "wait")
    offer_call(old, seen, "a", "wait")
    server.remove_tool("wait")
    server.add_tool(quick)
    server.add_tool(other, name="wait")
    await eventually(lambda: sorted(c.name for c in tree.cells if c.state == "ready") == ["quick", "wait"])
    assert old.state == "draining"
    new = cell(tree, "wait")
    assert new is not old
    offer_call(new, seen, "b", "wait")
    assert await seen.text("b") == "other"
    go.set()
    assert await seen.text("a") == "through"
    await eventually(lambda: old.state == "stopped")
    await tree.stop()


async def test_a_drain_reaches_removed_tools_too():
    server, seen = Server("s"), Recorder()

    @server.tool
    async def wait() -> str:
        await asyncio.Event().wait()
        return ""

    tree = tree_of(server)
    await tree.start()
    old = cell(tree, "wait")
    offer_call(old, seen, "a", "wait")
    server.remove_tool("wait")
    await eventually(lambda: old.state == "draining")
    await tree.drain(0.01)
    assert seen.endings["a"] == Cancelled("drain")
    await tree.stop()


async def test_stopping_ends_calls_even_without_a_drain():
    server, seen = Server("s"), Recorder()

    @server.tool
    async def wait() -> str:
        await asyncio.Event().wait()
        return ""

    server.add_tool(quick)
    tree = tree_of(server)
    await tree.start()
    offer_call(cell(tree, "wait"), seen, "a", "wait")
    offer_call(cell(tree, "quick"), seen, "b", "quick")
    assert isinstance(await seen.ending("b"), Completed)
    await tree.stop()
    assert seen.endings["a"] == Cancelled("drain")
    assert [cell.state for cell in tree.cells] == ["stopped", "stopped"]


async def raw(request: RawRequest) -> bytes:
    await gate_of_raw.wait()
    return b"{}"


gate_of_raw = asyncio.Event()


async def test_what_the_lifespan_declares_is_up_when_the_tree_is():
    @asynccontextmanager
    async def lifespan(server: Server) -> AsyncIterator[None]:
        server.add_tool(quick)
        yield

    tree = tree_of(Server("s", lifespan=lifespan))
    await tree.start()
    assert [(each.name, each.state) for each in tree.cells] == [("quick", "ready")]
    await tree.stop()


async def test_a_suspended_server_takes_no_calls_for_raw_handlers_and_lets_go_on_what_runs():
    server, seen = Server("s"), Recorder()
    definition = {"name": "r", "inputSchema": {"type": "object"}}
    server.add_raw("tool", definition, raw, concurrency=1)
    server.add_tool(quick)
    tree = tree_of(server)
    await tree.start()
    raw_cell, other_cell = cell(tree, "r"), cell(tree, "quick")

    def offer(key: str) -> object:
        return raw_cell.offer(make_call(seen, key, server.tools["r"], data=REQUEST))

    gate_of_raw.clear()
    assert (offer("a"), offer("b")) == (None, None)
    server.suspend("it is down")
    server.suspend("it is down still")
    assert (raw_cell.state, other_cell.state) == ("restarting", "ready")
    assert await seen.ending("b") == NotStarted("crashed")
    assert offer("c") == "crashed"
    gate_of_raw.set()
    assert isinstance(await seen.ending("a"), Completed)

    server.add_raw("tool", {**definition, "name": "late"}, raw)
    await eventually(lambda: len(tree.cells) == 3 and cell(tree, "late").state == "restarting")
    server.resume()
    server.resume()
    assert [each.state for each in tree.cells] == ["ready"] * 3
    assert offer("d") is None
    assert isinstance(await seen.ending("d"), Completed)
    server.suspend("again")
    await tree.stop()
    assert raw_cell.state == "stopped"
    server.resume()  # nobody follows any more


REQUEST = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}'


async def test_a_raw_handler_that_crashes_while_it_is_suspended_comes_back_with_the_others():
    server, seen = Server("s"), Recorder()

    async def leave(request: RawRequest) -> bytes:
        raise SystemExit

    server.add_raw("tool", {"name": "r", "inputSchema": {"type": "object"}}, leave)
    tree = tree_of(server)
    await tree.start()
    only = cell(tree, "r")
    only._quarantine = Quarantine(threshold=0, backoff=Backoff(first_s=0.01))
    only.offer(make_call(seen, "a", server.tools["r"], data=REQUEST))
    await seen.ending("a")
    assert only.state == "quarantined"
    server.suspend("down")
    await eventually(lambda: only._coming_back is not None and only._coming_back.done())
    assert only.state == "restarting"
    server.resume()
    assert only.state == "ready"
    await tree.stop()
