"""Nodes with 20 tools are drained under load. Acceptance: no call fails in any way, none runs twice."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest
from tests.support.broker import Broker
from tests.support.damage import Row, report
from tests.support.load import Load
from tests.support.nodes import NodeProcess

from longreach import connect

DRAINS = int(os.environ.get("LONGREACH_DRAINS", "6"))
TOOLS = [f"chaos.drained_{number}" for number in range(20)]


@pytest.mark.timeout(900)
async def test_drained_nodes_lose_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    effects = tmp_path / "effects"
    in_flight = 0
    with Broker() as broker:
        stays = await NodeProcess.start(broker.url, effects=str(effects))
        leaving = [await NodeProcess.start(broker.url, effects=str(effects))]
        try:
            async with connect(broker.url, timeout_s=20) as mesh:
                load = Load(mesh, TOOLS, {})
                load.start()
                for _ in range(DRAINS):
                    replacement = asyncio.ensure_future(  # noqa: TID251 - a test's own task, awaited below
                        NodeProcess.start(broker.url, effects=str(effects))
                    )
                    await load.settle(100)
                    leaving[0].terminate()
                    in_flight += load.in_flight
                    assert await leaving[0].ended() == 0
                    leaving[0] = await replacement
                await load.stop()
                stats = mesh.stats
        finally:
            for node in (stays, *leaving):
                await node.close()
    runs = Counter(line.split()[0] for line in effects.read_text().splitlines())
    doubled = [ident for ident, count in runs.items() if count > 1]
    longest_s = max(done.late_s for done in load.done)
    row = Row(
        "node drained",
        DRAINS,
        len(load.done),
        in_flight,
        stats.retried,
        len(doubled),
        longest_s,
        failed=len(load.failed),
    )
    report(request, row)
    assert [done.error for done in load.failed] == []
    assert not doubled
    assert len(runs) == len(load.done)
