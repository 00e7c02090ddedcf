"""A node is killed -9 under load. Acceptance: read-only calls do not fail, others never run twice."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.support.broker import Broker
from tests.support.load import Load
from tests.support.nodes import NodeProcess

from longreach import connect

ROUNDS = int(os.environ.get("LONGREACH_ROUNDS", "2"))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seconds", [0.005, 0.6, 2.0])
@pytest.mark.parametrize("tool", ["look", "change"])
async def test_node_killed_under_load(tool: str, seconds: float, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    failed, lost_at, in_flight, retried = 0, [], 0, 0
    with Broker() as broker:
        stays = await NodeProcess.start(broker.url, effects=str(effects))
        try:
            async with connect(broker.url, timeout_s=20) as mesh:
                for _ in range(ROUNDS):
                    victim = await NodeProcess.start(broker.url, effects=str(effects))
                    await mesh.refresh()
                    load = Load(mesh, [f"chaos.{tool}"], {"seconds": seconds})
                    load.start()
                    await load.settle(64)
                    await asyncio.sleep(random.uniform(0, min(seconds, 0.5)))
                    victim.kill()
                    killed_at = time.monotonic()
                    in_flight += load.in_flight
                    await victim.ended()
                    await asyncio.sleep(1.0)
                    await load.stop()
                    failed += len(load.failed)
                    retried += sum(1 for done in load.done if done.attempts > 1)
                    for done in load.failed:
                        assert done.error is not None
                        assert done.error.delivered == "unknown", done.error
                        assert done.began < killed_at + 0.1  # the kernel and the broker take a moment
                        lost_at.append(done.ended - killed_at)
        finally:
            await stays.close()
    runs = Counter(line.split()[0] for line in effects.read_text().splitlines())
    doubled = [ident for ident, count in runs.items() if count > 1]
    slowest = max(lost_at, default=0.0)
    print(
        f"\nkill {tool} {seconds}s: rounds={ROUNDS} in_flight={in_flight} failed={failed} "
        f"retried={retried} doubled={len(doubled)} slowest={slowest:.2f}s"
    )
    if tool == "look":
        assert failed == 0
    else:
        assert not doubled
        assert slowest < 1.5
