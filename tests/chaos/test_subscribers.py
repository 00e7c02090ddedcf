"""Thousands of subscribers, some of which die.

Acceptance: nothing is left of the dead, and each of the others hears of each change exactly once.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
from tests.support.broker import Broker, free_port
from tests.support.damage import Row, report
from tests.support.gateways import message
from tests.support.http import post, until_offered
from tests.support.listeners import Listener, open_all
from tests.support.observed import Holdings, holdings
from tests.support.services import Service
from tests.support.timing import allowed

SUBSCRIBERS = int(os.environ.get("LONGREACH_SUBSCRIBERS", "2000"))
KILLED = SUBSCRIBERS // 10
PATH = "/mcp/guestbook"
CHANGES = ("notifications/tools/list_changed", "notifications/resources/updated")
SETTLE_S = 20.0
HEAR_S = 20.0
MEMORY_SLACK = 8 * 1024 * 1024
"""What a process may keep of a peak for use again: allocators give pages back late."""

Counts = dict[str, tuple[int, int]]


class Mesh:
    """Two nodes and two gateways on a broker, each of which tells what it holds."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.monitor = free_port()
        broker = stack.enter_context(Broker(f'http: "127.0.0.1:{self.monitor}"'))
        self.ports = [free_port(), free_port()]
        self.observed: dict[str, int] = {}
        limit = str(SUBSCRIBERS)
        for name in ("node-a", "node-b"):
            words = ["run", "tests.interop.guestbook:app", "--identity", name]
            self._start(folder, stack, name, *words, "--nats", broker.url)
        for port in self.ports:
            words = ["gateway", "--port", str(port), "--max-subscriptions", limit]
            self._start(folder, stack, f"gateway-{port}", *words, "--nats", broker.url).listens(port)
            until_offered(port, "guestbook")

    def _start(self, folder: Path, stack: ExitStack, name: str, *words: str) -> Service:
        port = self.observed[name] = free_port()
        service = Service(folder / f"{name}.log", "-m", "tests.support.observed", str(port), *words)
        stack.enter_context(service).listens(port)
        return service

    def holds(self) -> dict[str, Holdings]:
        """Of each process."""
        return {name: holdings(port) for name, port in self.observed.items()}

    def broker_holds(self) -> tuple[int, int]:
        """Connections and subscriptions."""
        with urlopen(f"http://127.0.0.1:{self.monitor}/varz", timeout=10) as answer:
            known: dict[str, Any] = msgspec.json.decode(answer.read())
        return int(known["connections"]), int(known["subscriptions"])

    def counts(self) -> Counts:
        """What must come back: tasks and descriptors, connections and subscriptions."""
        found = {name: (held.tasks, held.descriptors) for name, held in self.holds().items()}
        return {**found, "broker": self.broker_holds()}


@asynccontextmanager
async def doomed(ports: list[int], count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that holds `count` subscribers, there to be killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.listeners", PATH, str(count), *map(str, ports),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["framework", "services", "."])},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == f"ready {count}\n".encode()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def left_over(before: Counts, now: Counts) -> dict[str, str]:
    """What there is more of than before, by process."""
    return {
        name: f"{before[name]} -> {now[name]}"
        for name in before
        if any(more > less for more, less in zip(now[name], before[name], strict=True))
    }


async def back_to(mesh: Mesh, before: Counts) -> float:
    """Wait until there is no more of anything than before; how long that took, in seconds."""
    began = time.monotonic()
    while remains := left_over(before, await asyncio.to_thread(mesh.counts)):
        assert time.monotonic() - began < allowed(SETTLE_S), f"left over: {remains}"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def settled(mesh: Mesh) -> Counts:
    """The counts, once two readings in a row are the same."""
    last = await asyncio.to_thread(mesh.counts)
    for _ in range(100):
        await asyncio.sleep(0.2)
        now = await asyncio.to_thread(mesh.counts)
        if now == last:
            return now
        last = now
    raise AssertionError(f"the counts never settle: {last}")


async def all_hear(listeners: list[Listener], times: int) -> None:
    async with asyncio.timeout(HEAR_S), asyncio.TaskGroup() as group:
        for listener in listeners:
            group.create_task(hear(listener, times))


async def hear(listener: Listener, times: int) -> None:
    for method in CHANGES:
        await listener.until(method, times)


async def change(port: int) -> str:
    """Cause one change of each kind; the node where it happened."""
    request = message("tools/call", {"name": "change", "arguments": {}})
    answer = await asyncio.to_thread(post, port, PATH, request)
    return str(answer["result"]["content"][0]["text"])


async def change_everywhere(mesh: Mesh) -> None:
    """Until both nodes have had their first change, which adds a tool; later ones replace it."""
    changed: set[str] = set()
    for port in itertools.islice(itertools.cycle(mesh.ports), 100):
        changed.add(await change(port))
        if len(changed) == 2:
            return
    raise AssertionError(f"one node never gets a call: {changed}")


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_nothing_is_left_of_dead_subscribers_and_the_others_hear_each_change_once(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with ExitStack() as stack:
        mesh = await asyncio.to_thread(Mesh, tmp_path, stack)
        await change_everywhere(mesh)
        empty = await settled(mesh)
        survivors = await open_all(mesh.ports, PATH, SUBSCRIBERS - KILLED)
        try:
            alive = await settled(mesh)
            memory = {name: held.memory for name, held in mesh.holds().items()}
            for _ in range(2):
                async with doomed(mesh.ports, KILLED) as process:
                    process.kill()
                    await process.wait()
                    took = await back_to(mesh, alive)
            for name, held in mesh.holds().items():
                assert held.memory - memory[name] < MEMORY_SLACK, f"{name} keeps memory of the dead"
            for times, port in enumerate(mesh.ports, 1):
                await change(port)
                await all_hear(survivors, times)
            assert {count for each in survivors for count in (each.heard[name] for name in CHANGES)} == {2}
        finally:
            for listener in survivors:
                listener.close()
        ended = await back_to(mesh, empty)
    notices = len(survivors) * len(CHANGES) * len(mesh.ports)
    report(request, Row(f"{KILLED} subscribers killed", 2, notices, SUBSCRIBERS, 0, 0, took))
    print(
        f"\nsubscribers: {SUBSCRIBERS}, killed: {KILLED}, gone after {took:.2f} s; "
        f"all gone after {ended:.2f} s; counts with them {alive}, without {empty}"
    )
