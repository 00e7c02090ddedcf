"""Credentials that live for a minute, ten minutes long, with 64 calls in flight: nobody notices."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.damage import ROOT, Damage, report
from tests.support.operators import Operator, replace

from longreach import NatsOptions, connect
from longreach.testing import Cluster, NodeProcess

LIFE_S = float(os.environ.get("LONGREACH_JWT_LIFE_S", "3"))
RUN_S = float(os.environ.get("LONGREACH_JWT_RUN_S", "10"))


class Agent:
    """Renews credentials in files, as what hands them out does: a while before they end."""

    def __init__(self, operator: Operator, files: list[Path]) -> None:
        self._operator = operator
        self._files = files
        self.watched: Damage | None = None

    async def run(self) -> None:
        while True:
            if self.watched is not None:
                self.watched.fault()
            for file in self._files:
                replace(file, self._operator.creds(LIFE_S))
            await asyncio.sleep(LIFE_S * 0.55)


@pytest.mark.timeout(int(RUN_S) + 120)
async def test_short_lived_jwts(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    effects = tmp_path / "effects"
    operator = Operator()
    files = [tmp_path / f"{name}.creds" for name in ("one", "two", "client")]
    agent = Agent(operator, files)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(2, operator.config))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        renewing = group.create_task(agent.run())
        stack.callback(renewing.cancel)
        await asyncio.sleep(0)
        nodes = [
            NodeProcess(
                "tests.support.chaos_node:chaos",
                broker.url,
                flags=("--creds", str(file)),
                folder=ROOT,
                environment={"CHAOS_EFFECTS": str(effects)},
            )
            for file, broker in zip(files, cluster.brokers, strict=False)
        ]
        for node in nodes:
            await stack.enter_async_context(node)
        options = NatsOptions(creds_file=str(files[2]))
        mesh = await stack.enter_async_context(connect(cluster.urls[1], connection=options))
        agent.watched = damage = Damage(mesh, effects, seconds=(0.1, 0.3, LIFE_S / 2))
        async with damage:
            await asyncio.sleep(RUN_S)  # the time itself is what is tested
            await damage.calm()
        agent.watched = None
        moved = [len(node.events("link.moved")) for node in nodes]
        lost = [node.events("link.down") for node in nodes]
    row = damage.row(f"JWTs of {LIFE_S:g} s for {RUN_S:g} s")
    report(request, row)
    assert (row.failed, row.doubled) == (0, 0)
    assert lost == [[], []]
    assert min(moved) >= RUN_S / LIFE_S - 1, "what was renewed was used"
