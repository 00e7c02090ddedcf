"""Nodes go from 1.0 to 2.0 under load, and a canary that fails is rolled back. Acceptance 4 of issue 4.

No call fails in any way while nodes are replaced one by one; nothing runs twice. A canary that fails takes
itself out of service, and from then on no call meets it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.support.damage import ROOT, Damage, Row, effects_of, report
from tests.support.timing import allowed

from longreach import Mesh, connect
from longreach.testing import Broker, NodeProcess

ROUNDS = int(os.environ.get("LONGREACH_UPGRADES", "1"))
NODES = 3
SHORT = (0.002, 0.02, 0.2)


def version(url: str, effects: Path, which: str, *flags: str, errors: float = 0.0) -> NodeProcess:
    return NodeProcess(
        "tests.support.upgraded_node:chaos", url, flags=("--announce-every", "1", *flags), folder=ROOT,
        environment={
            "CHAOS_EFFECTS": str(effects), "UPGRADE_VERSION": which, "UPGRADE_ERRORS": str(errors)
        },
    )  # fmt: skip


async def up(node: NodeProcess) -> NodeProcess:
    await asyncio.to_thread(node.launch)
    return node


async def down(node: NodeProcess) -> None:
    """Drain it, and wait for its end."""
    node.terminate()
    assert await node.ended(30) == 0


async def versions(mesh: Mesh) -> set[str]:
    return {share.version for share in await mesh.canaries("chaos")}


@pytest.mark.timeout(600)
async def test_a_rolling_upgrade_fails_no_call(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    effects = tmp_path / "effects"
    started: list[NodeProcess] = []

    async def start(which: str) -> NodeProcess:
        started.append(version(broker.url, effects, which))
        return await up(started[-1])

    async with Broker() as broker:
        try:
            nodes = [await start("1.0.0") for _ in range(NODES)]
            async with connect(broker.url, timeout_s=20) as mesh:
                async with Damage(mesh, effects, SHORT) as damage:
                    for number in range(ROUNDS):
                        for at in range(NODES):
                            newer = await start("2.0.0" if number % 2 == 0 else "1.0.0")
                            await damage.settle(32)
                            damage.fault()
                            await down(nodes[at])
                            nodes[at] = newer
                        await damage.settle(64)
                        assert len(await versions(mesh)) == 1
                stats = mesh.stats
        finally:
            for node in started:
                node.dispose()
    failed = [done for done in damage.done if done.error is not None]
    runs = Counter(ident for ident, _ in effects_of(effects))
    doubled = [ident for ident, count in runs.items() if count > 1]
    longest_s = max(done.late_s for done in damage.done)
    report(
        request,
        Row("upgraded 1.0 to 2.0", ROUNDS * NODES, len(damage.done), damage.in_flight,
            stats.retried, len(doubled), longest_s, failed=len(failed)),
    )  # fmt: skip
    assert failed == []
    assert doubled == []
    assert len(damage.done) > 64
    assert longest_s < allowed(2.0)


class Callers:
    """64 callers of a tool; which version answered each call, and whether it failed."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.done: list[tuple[str, bool, float]] = []
        self._over = False

    async def call_on(self) -> None:
        number = 0
        while not self._over:
            number += 1
            began = time.monotonic()
            result = await self.mesh.call("chaos.look", {"seconds": 0.02, "ident": str(number)})
            said = str(result.meta["io.modelcontextprotocol/serverInfo"]["version"])
            self.done.append((said, result.is_error, time.monotonic() - began))

    async def settle(self, calls: int) -> None:
        target = len(self.done) + calls
        async with asyncio.timeout(30):
            while len(self.done) < target:
                await asyncio.sleep(0.005)

    def stop(self) -> None:
        self._over = True

    def of(self, which: str, start: int = 0) -> int:
        return sum(said == which for said, _, _ in self.done[start:])


@pytest.mark.timeout(300)
async def test_a_canary_that_fails_is_rolled_back_by_itself(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    effects = tmp_path / "effects"
    async with Broker() as broker:
        nodes = [version(broker.url, effects, "1.0.0") for _ in range(2)]
        bad = version(broker.url, effects, "2.0.0", "--canary", "0", errors=0.5)
        try:
            for node in (*nodes, bad):
                await up(node)
            async with connect(broker.url, timeout_s=20) as mesh, asyncio.TaskGroup() as group:
                callers = Callers(mesh)
                for _ in range(64):
                    group.create_task(callers.call_on())
                await callers.settle(500)
                assert callers.of("2.0.0") == 0
                await mesh.canary("chaos", "2.0.0", 10)
                at_change = len(callers.done)
                async with asyncio.timeout(60):
                    while await share(mesh) != 0:
                        await callers.settle(64)
                during = callers.of("2.0.0", at_change) / (len(callers.done) - at_change)
                await callers.settle(64)  # those that were on their way
                at_end = len(callers.done)
                await callers.settle(1000)
                callers.stop()
            worse = bad.events("canary.worse")
        finally:
            for node in (*nodes, bad):
                node.dispose()
    errors = sum(failed for _, failed, _ in callers.done)
    longest_s = max(took_s for _, _, took_s in callers.done) - 0.02
    report(
        request,
        Row(
            "canary that fails: its errors",
            1,
            len(callers.done),
            64,
            mesh.stats.retried,
            0,
            longest_s,
            failed=errors,
        ),
    )
    assert len(worse) == 1
    assert 0.03 < during < 0.25
    assert callers.of("2.0.0", at_end) == 0
    assert errors < callers.of("2.0.0")


async def share(mesh: Mesh) -> int:
    return next(s.weight for s in await mesh.canaries("chaos") if s.version == "2.0.0")
