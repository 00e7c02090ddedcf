"""A node is killed, stopped or cut off under load, or its interpreter held.

Acceptance: calls that only look never fail; what changes something never runs twice, and its caller is told
in bounded time that its outcome is unknown.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.damage import Damage, chaos_node, report
from tests.support.timing import allowed

from longreach import connect
from longreach.client.mesh import Mesh
from longreach.policy.questions import Config
from longreach.testing import Broker, NodeProcess, Proxy

ROUNDS = int(os.environ.get("LONGREACH_ROUNDS", "1"))
KILL_TOLD_S = 1.5
STUCK_TOLD_S = Config().stuck_s + 1.0
GIL_S = 3.0


@asynccontextmanager
async def load_on_two_nodes(effects: Path) -> AsyncIterator[tuple[Mesh, NodeProcess, Proxy]]:
    """A mesh with a node that stays and one that is behind a link of its own."""
    async with (
        Broker() as broker,
        Proxy(broker.url) as cable,
        chaos_node(broker.url, effects),
        chaos_node(cable.url, effects) as victim,
        connect(broker.url, timeout_s=30) as mesh,
    ):
        yield mesh, victim, cable


def check(damage: Damage, told_s: float) -> None:
    assert [done.error for done in damage.looks.failed] == []
    assert damage.doubled() == []
    for done in damage.changes.failed:
        assert done.error is not None
        assert done.error.delivered == "unknown", done.error
        assert damage.told_after(done) <= allowed(told_s), (done, damage.faults)


async def returned(mesh: Mesh, node: NodeProcess, timeout_s: float = 20) -> None:
    """Wait until a node takes calls again."""
    async with asyncio.timeout(timeout_s):
        while (await mesh.call("chaos.where")).node != node.node:
            await asyncio.sleep(0.01)


@pytest.mark.timeout(300)
async def test_killed(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with load_on_two_nodes(tmp_path / "effects") as (mesh, victim, _):
        async with Damage(mesh, tmp_path / "effects") as damage:
            for _ in range(ROUNDS):
                await returned(mesh, victim)
                await damage.calm()
                await asyncio.sleep(random.uniform(0, 0.3))
                victim.kill()
                killed_at = damage.fault()
                await victim.restart()
                await asyncio.sleep(max(0.0, killed_at + KILL_TOLD_S - asyncio.get_running_loop().time()))
        report(request, damage.row("node killed"))
        check(damage, KILL_TOLD_S)


@pytest.mark.timeout(400)
async def test_stopped_and_cut_off(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Two meshes, side by side: each round takes as long as a client waits for a silent node."""
    async with asyncio.TaskGroup() as group:
        _ = group.create_task(stopped(tmp_path / "stopped", request))
        _ = group.create_task(cut_off(tmp_path / "cut off", request))


async def stopped(effects: Path, request: pytest.FixtureRequest) -> None:
    async with load_on_two_nodes(effects) as (mesh, victim, _):
        async with Damage(mesh, effects) as damage:
            for _ in range(ROUNDS):
                await returned(mesh, victim)
                await damage.calm()
                victim.stop()
                damage.fault()
                await asyncio.sleep(STUCK_TOLD_S)
                victim.cont()
        report(request, damage.row("node stopped (SIGSTOP)"))
        check(damage, STUCK_TOLD_S)


async def cut_off(effects: Path, request: pytest.FixtureRequest) -> None:
    async with load_on_two_nodes(effects) as (mesh, victim, cable):
        async with Damage(mesh, effects) as damage:
            for _ in range(ROUNDS):
                await returned(mesh, victim)
                await damage.calm()
                cable.cut()
                damage.fault()
                await asyncio.sleep(STUCK_TOLD_S)
                cable.heal()
        report(request, damage.row("node's link cut"))
        check(damage, STUCK_TOLD_S)


@pytest.mark.timeout(300)
async def test_link_reset(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The node is back at once, and has kept its results: only answers that were on their way are lost."""
    async with load_on_two_nodes(tmp_path / "effects") as (mesh, victim, cable):
        async with Damage(mesh, tmp_path / "effects") as damage:
            for _ in range(ROUNDS):
                await returned(mesh, victim)
                await damage.calm()
                cable.cut(closing=True)
                damage.fault()
                cable.heal()
        report(request, damage.row("node's link reset"))
        check(damage, KILL_TOLD_S)
        # "nobody_has_it": a request that was lost, of a mesh too young to believe everybody's "no" (M7.7).
        reasons = {done.error.reason for done in damage.changes.failed if done.error is not None}
        assert reasons <= {"gone", "nobody_has_it"}
        assert len(damage.changes.failed) <= damage.in_flight / 20


@pytest.mark.timeout(120)
async def test_bad_link(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Slow, late and lossy is not dead."""
    async with load_on_two_nodes(tmp_path / "effects") as (mesh, victim, cable):
        async with Damage(mesh, tmp_path / "effects") as damage:
            for _ in range(max(1, ROUNDS // 10)):
                await returned(mesh, victim)
                await damage.calm()
                cable.delay(0.1)
                cable.drop(0.05)
                cable.slow(200_000)
                damage.fault()
                await asyncio.sleep(5)
                cable.heal()
        report(request, damage.row("node's link slow, late and lossy"))
        assert [done.error for done in damage.done if done.error is not None] == []
        assert damage.doubled() == []


@pytest.mark.timeout(120)
async def test_a_handler_that_holds_the_interpreter(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with load_on_two_nodes(tmp_path / "effects") as (mesh, victim, _):
        held = mesh.options(node=victim.node)
        async with Damage(mesh, tmp_path / "effects") as damage:
            for _ in range(max(1, ROUNDS // 4)):
                await returned(mesh, victim)
                await damage.calm()
                damage.fault()
                assert (await held.call("chaos.hold_gil", {"seconds": GIL_S})).text == "held"
        report(request, damage.row(f"handler holds the GIL for {GIL_S:g} s"))
        assert [done.error for done in damage.done if done.error is not None] == []
        assert damage.doubled() == []
