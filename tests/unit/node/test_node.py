from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.asker import Asker, reason, text
from tests.support.hosts import Gate, docs, node
from tests.support.links import eventually

from longreach import Node, Server
from longreach.errors import ConfigError, LongreachError
from longreach.transport.memory import MemoryBroker


def slow_to_start(gate: Gate, left: list[str]) -> Server:
    """A server whose lifespan waits for the gate."""

    @asynccontextmanager
    async def lifespan(server: Server) -> AsyncIterator[None]:
        await gate()
        try:
            yield
        finally:
            left.append(server.name)

    server = Server("slow", lifespan=lifespan)

    @server.tool
    async def late() -> str:
        return "late"

    return server


async def within(awaitable, timeout_s: float = 5):
    async with asyncio.timeout(timeout_s):
        return await awaitable


async def test_servers_are_needed_and_their_names_differ():
    with pytest.raises(ConfigError, match="at least one"):
        Node()
    with pytest.raises(ConfigError, match="one name"):
        Node(Server("docs"), Server("docs"))


async def test_it_is_not_serving_before_its_servers_are_up(broker: MemoryBroker, gate: Gate, asker: Asker):
    host = node(broker, slow_to_start(gate, []))
    async with asyncio.TaskGroup() as group:
        start = group.create_task(host.start())
        await gate.begins()
        assert host.state == "starting"
        asker.send("req.slow._._._.tools-call.late", b"{}")
        await asker.settle()
        assert asker.heard[0].headers == {"Status": "503"}
        gate.release.set()
        await start
    assert host.state == "serving"
    await host.drain()
    assert host.state == "stopped"


async def test_drained_while_it_starts_it_never_serves(broker: MemoryBroker, gate: Gate, asker: Asker):
    left: list[str] = []
    host = node(broker, docs(gate), slow_to_start(gate, left))
    async with asyncio.TaskGroup() as group:
        start = group.create_task(host.start())
        await gate.begins()
        drain = group.create_task(host.drain())
        await eventually(lambda: host.state != "starting")
        gate.release.set()
        await within(start)
        await within(drain)
    assert host.state == "stopped"
    assert left == ["slow"]
    asker.request("echo")
    await asker.settle()
    assert asker.heard[0].headers == {"Status": "503"}


async def test_entered_and_drained_at_once_it_says_so(broker: MemoryBroker, gate: Gate):
    host = node(broker, slow_to_start(gate, []))

    async def drain() -> None:
        await gate.begins()
        gate.release.set()
        await host.drain()

    entered, _ = await within(asyncio.gather(host.__aenter__(), drain(), return_exceptions=True))
    assert isinstance(entered, LongreachError)
    assert "drained before" in str(entered)


async def test_a_start_that_is_cancelled_leaves_nothing_behind(broker: MemoryBroker, gate: Gate):
    left: list[str] = []

    @asynccontextmanager
    async def lifespan(server: Server) -> AsyncIterator[None]:
        yield
        left.append("left")

    first = Server("first", lifespan=lifespan)
    host = node(broker, first, slow_to_start(gate, left))
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await host.__aenter__()
    assert host.state == "stopped"
    assert left == ["left"]
    assert broker._links == []
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_it_has_one_life(broker: MemoryBroker, gate: Gate, asker: Asker):
    host = node(broker, docs(gate))
    async with host:
        for again in (host.start, host.__aenter__):
            with pytest.raises(ConfigError, match="once"):
                await again()
        assert text(await asker.ask("echo")) == "hi"
        await asker.settle()
        assert len(asker.answers()) == 1
    with pytest.raises(ConfigError, match="once"):
        await host.start()


@pytest.mark.parametrize("end", ["drain", "stop"])
async def test_one_that_never_started_can_be_ended(broker: MemoryBroker, gate: Gate, end: str, caplog):
    host = node(broker, docs(gate))
    await within(getattr(host, end)())
    assert host.state == "stopped"
    assert broker._links == []
    assert "task.failed" not in caplog.messages
    with pytest.raises(ConfigError, match="once"):
        await host.start()


async def test_many_may_ask_for_the_drain_and_all_wait_for_its_end(broker: MemoryBroker, gate: Gate):
    host, asker = node(broker, docs(gate)), Asker(broker)
    await host.start()
    asker.request("wait")
    await gate.begins()
    async with asyncio.TaskGroup() as group:
        drains = [group.create_task(host.drain()) for _ in range(3)]
        await eventually(lambda: host.state == "draining")
        drains[0].cancel()
        asker.request("echo", call="2-0-f")
        asker.request("wait", call="3-0-f", to=f"n-{host.instance}")
        await asker.settle()
        assert not any(drain.done() for drain in drains[1:])
        gate.release.set()
    assert text(asker.answers()[0]) == "waited"
    assert asker.heard[0].headers == {"Status": "503"}
    assert reason(asker.answers("3-0-f")[0]) == "draining"
    await within(host.drain())


async def test_what_outlives_the_drain_is_cut_off_and_told_so(broker: MemoryBroker, gate: Gate, asker: Asker):
    host = node(broker, docs(gate), drain_timeout_s=0.02)
    async with host:
        asker.request("wait")
        await gate.begins()
    assert reason(await asker.answer()) == "cut_off"
    assert gate.cancelled == 1


async def test_stop_cuts_a_drain_short(broker: MemoryBroker, gate: Gate, asker: Asker):
    host = node(broker, docs(gate), drain_timeout_s=60)
    await host.start()
    asker.request("wait")
    await gate.begins()
    async with asyncio.TaskGroup() as group:
        group.create_task(host.drain())
        await eventually(lambda: host.state == "draining")
        await within(host.stop())
    assert reason(await asker.answer()) == "cut_off"


async def test_a_server_that_cannot_start_fails_the_node(broker: MemoryBroker, gate: Gate):
    @asynccontextmanager
    async def lifespan(server: Server) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    host = node(broker, Server("broken", lifespan=lifespan, intensity=0))
    with pytest.raises(LongreachError, match="no database"):
        async with host:
            pass
    assert host.state == "stopped"
    assert broker._links == []


async def test_run_drains_at_the_first_signal_and_stops_at_the_second(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    host = node(broker, docs(gate), drain_timeout_s=60)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(host.run())
        await eventually(lambda: host.state == "serving")
        asker.request("wait")
        await gate.begins()
        os.kill(os.getpid(), signal.SIGTERM)
        await eventually(lambda: host.state == "draining")
        assert asker.answers() == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert await within(run) == 0
    assert reason(await asker.answer()) == "cut_off"


async def test_run_that_is_cancelled_answers_what_is_here(broker: MemoryBroker, gate: Gate, asker: Asker):
    host = node(broker, docs(gate), drain_timeout_s=60)
    run = asyncio.get_running_loop().create_task(host.run())
    await eventually(lambda: host.state == "serving")
    asker.request("wait")
    await gate.begins()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(run)
    assert host.state == "stopped"
    assert reason(await asker.answer()) == "cut_off"
    assert broker._links == [asker.link]


async def test_a_signal_while_it_starts_ends_it(broker: MemoryBroker, gate: Gate):
    host = node(broker, slow_to_start(gate, []))
    async with asyncio.TaskGroup() as group:
        run = group.create_task(host.run())
        await gate.begins()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await within(run) == 0


async def test_results_that_end_while_the_link_is_down_are_sent_when_it_is_back(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    async with node(broker, docs(gate)) as host:
        asker.request("wait")
        await gate.begins()
        broker.cut(host._link)  # type: ignore[arg-type]
        gate.release.set()
        await eventually(lambda: host.in_flight == 0)
        assert asker.answers() == []
        broker.restore(host._link)  # type: ignore[arg-type]
        assert text(await asker.answer()) == "waited"
        await asker.settle()
        assert len(asker.answers()) == 1
        assert text(await asker.ask("echo", call="2-0-f")) == "hi"


async def test_a_drain_without_a_link_ends_all_the_same(broker: MemoryBroker, gate: Gate):
    async with node(broker, docs(gate)) as host:
        broker.cut(host._link)  # type: ignore[arg-type]
        await within(host.drain())
    assert host.state == "stopped"
