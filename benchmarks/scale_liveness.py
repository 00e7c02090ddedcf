"""Scale, the part `liveness`: what a client pays to watch over slow calls on many nodes.

One client, a real broker, and one process that answers for all nodes. The client is told that each node has
a call of its own; then it asks, hears and decides as ever. All figures are of the client's process alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

import uvloop

from benchmarks.compare import Comparison, Target
from benchmarks.processes import Broker, Peer, broker
from longreach import Mesh, connect
from longreach.client.vigil import Watched
from longreach.policy.liveness import Lost, NodeId

_LINEAR = Target("at most", 2.0)
_GOAL = Target("at most", 1.0)
_WARM_S = 6.0
"""Longer than the longest interval: the questions have spread by then."""
_MEASURED_S = 10.0
_QUICK_S = 1.0
"""Both of them where all sizes are small, to see that it runs."""
_QUICK_BELOW = 500
_CORE_GOAL = 10.0
"""Percent of a core with an interval that grows above 400 nodes."""
_CORE_GOAL_SLOWEST = 20.0
"""Percent of a core above 4,000 nodes, where each is asked every 5 s: so with 8,000."""
_FOUND_GOAL_S = {500: 1.0, 2_000: 2.9, 8_000: 5.4}
"""One interval (0.5 s up to 400 nodes, 5 s from 4,000), 300 ms and a little."""
_SHARED = (20, 100)
"""Nodes, and callers of one connection with a call on each."""
_PATIENCE_S = 30.0


class Cost(NamedTuple):
    """Percent of a core; questions a second; s until a death is found; µs for each node of a search."""

    core: float
    asked: float
    found_s: float
    search_us: float


def run(sizes: Sequence[int], rounds: int) -> list[Comparison]:
    """Measure all sizes, and a gateway's many callers on few nodes."""
    found: dict[str, Comparison] = {}
    with broker() as server:
        for _ in range(rounds):
            costs = {size: _measured(server, size, 1) for size in sizes}
            shared = _measured(server, *_SHARED)
            for comparison in _compare(costs, shared):
                known = found.setdefault(comparison.name, comparison)
                if known is not comparison:
                    known.add(comparison.ours[0], comparison.theirs[0])
    return list(found.values())


def _compare(costs: dict[int, Cost], shared: Cost) -> list[Comparison]:
    least = min(costs)
    found = []
    for size, cost in costs.items():
        each, base = cost.core / cost.asked, costs[least].core / costs[least].asked
        if size != least:
            versus = f"{least} nodes"
            found += [
                _one(f"liveness: question, {size} nodes", "µs", _LINEAR, each * 1e4, base * 1e4, versus),
                _one(
                    f"liveness: search, {size} nodes", "µs each", _LINEAR, cost.search_us,
                    costs[least].search_us, versus,
                ),
            ]  # fmt: skip
        goal = _CORE_GOAL if size <= 4000 else _CORE_GOAL_SLOWEST
        found += [
            _one(f"liveness: CPU of a core, {size} nodes", "%", _GOAL, cost.core, goal, "goal"),
            _one(
                f"liveness: death found, {size} nodes", "s", _GOAL, cost.found_s,
                _FOUND_GOAL_S.get(size, 1.0), "goal",
            ),
        ]  # fmt: skip
    nodes, callers = _SHARED
    name = f"liveness: CPU of a core, {callers} callers on {nodes} nodes"
    return [*found, _one(name, "%", _GOAL, shared.core, _CORE_GOAL, "goal")]


def _one(name: str, unit: str, target: Target, ours: float, theirs: float, versus: str) -> Comparison:
    comparison = Comparison(name, unit, target, versus=versus)
    comparison.add(ours, theirs)
    return comparison


def _measured(server: Broker, nodes: int, callers: int) -> Cost:
    with Peer("-m", "benchmarks.scale_nodes", server.url, str(nodes)) as peer:
        return uvloop.run(_measure(server, peer, nodes, callers))


def named(number: int) -> NodeId:
    """The name of a node."""
    return NodeId("eu", "n", f"i{number}")


async def _measure(server: Broker, peer: Peer, nodes: int, callers: int) -> Cost:
    async with connect(server.url, via="bench") as mesh:
        lost: dict[str, Lost] = {}
        await _put_calls(mesh, nodes, callers, lost)
        await asyncio.sleep(_WARM_S if nodes >= _QUICK_BELOW else _QUICK_S)
        began, cpu, questions = time.monotonic(), time.process_time(), _questions(mesh)
        await asyncio.sleep(_MEASURED_S if nodes >= _QUICK_BELOW else _QUICK_S)
        took_s, used_s = time.monotonic() - began, time.process_time() - cpu
        asked = (_questions(mesh) - questions) / took_s
        if lost:
            raise SystemExit(f"liveness lost calls that are there: {next(iter(lost.values()))}")
        search_us = await _search(mesh, nodes, lost)
        found_s = await _die(peer, nodes // 2, lost)
    return Cost(100 * used_s / took_s, asked, found_s, search_us)


async def _put_calls(mesh: Mesh, nodes: int, callers: int, lost: dict[str, Lost]) -> None:
    """Let each of the callers have a call on each of the nodes, which were accepted one after the other."""
    session = mesh._session
    vigil, clock = session.home.vigil, session.clock

    def note(loss: Lost) -> None:
        lost[loss.call] = loss

    for caller in range(callers):
        asker = session.askers.of(f"caller{caller}")
        asker.in_use += 1
        name = asker.inbox.connection
        vigil.watch(name, Watched(asker.questions, note, lambda _: None))
        for node in range(nodes):
            call = f"{caller}z{node}-0-f"
            vigil.liveness.sent(call, "bench", "eu", clock.monotonic(), name)
            vigil.liveness.accepted(call, named(node), clock.monotonic())
            vigil.wake(clock.monotonic())
            if node % 100 == 99:
                await asyncio.sleep(0.01)


def _questions(mesh: Mesh) -> int:
    """How many questions have been asked so far."""
    return sum(asker.inbox._count for asker in mesh._session.askers)


async def _search(mesh: Mesh, nodes: int, lost: dict[str, Lost]) -> float:
    """Let nobody have a call, and all nodes be asked whose it is: microseconds of CPU for each."""
    session = mesh._session
    vigil, clock = session.home.vigil, session.clock
    name = session.askers.of("caller0").inbox.connection
    cpu = time.process_time()
    vigil.liveness.instances("bench", "eu", frozenset(map(named, range(nodes))))
    vigil.liveness.sent("nowhere-0-f", "bench", "eu", clock.monotonic(), name)
    vigil.wake(clock.monotonic())
    await _until(lost, "nowhere-0-f")
    if lost["nowhere-0-f"].reason not in ("not_here", "nobody_has_it"):  # a young mesh believes nobody's "no"
        raise SystemExit(f"a search went wrong: {lost['nowhere-0-f']}")
    return (time.process_time() - cpu) / nodes * 1e6


async def _die(peer: Peer, node: int, lost: dict[str, Lost]) -> float:
    """Let a node die: seconds until its call is lost."""
    peer.ask(dies=node)
    began = time.monotonic()
    await _until(lost, f"0z{node}-0-f")
    return time.monotonic() - began


async def _until(lost: dict[str, Lost], call: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while call not in lost:
        if time.monotonic() > end:
            raise SystemExit(f"liveness never lost {call}")
        await asyncio.sleep(0.005)
