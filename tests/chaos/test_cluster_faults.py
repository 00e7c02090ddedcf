"""A broker of a cluster of three is killed, stopped with a full write buffer, asked to go; all are restarted.

Acceptance: calls that only look never fail, nothing runs twice that must not, and nothing runs after its
deadline or though its caller was told that it did not.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.damage import Damage, chaos_node, report
from tests.support.load import Load

from longreach import connect
from longreach.client.mesh import Mesh
from longreach.testing import Cluster

ROUNDS = int(os.environ.get("LONGREACH_BROKER_ROUNDS", "1"))
TIMEOUT_S = 30.0
STOP_S = 7.0
"""Longer than clients wait for a silent broker."""
STORE_TIMEOUT_S = 3.0
BODY = "x" * 100_000
BODIES = 100


@asynccontextmanager
async def load_on_a_cluster(effects: Path) -> AsyncIterator[tuple[Cluster, Mesh, Damage]]:
    """Two nodes and a client, each at home at another broker of three."""
    async with Cluster(3) as cluster:
        one, two, three = cluster.urls
        async with (
            chaos_node((two, three, one), effects),
            chaos_node((three, one, two), effects),
            connect((one, two, three), timeout_s=TIMEOUT_S) as mesh,
            Damage(mesh, effects) as damage,
        ):
            await damage.settle()
            yield cluster, mesh, damage


def check(damage: Damage) -> None:
    assert [done.error for done in damage.looks.failed] == []
    assert damage.doubled() == []
    assert damage.ghosts(TIMEOUT_S) == []


@pytest.mark.timeout(300)
async def test_killed(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with load_on_a_cluster(tmp_path / "effects") as (cluster, _, damage):
        for victim in itertools.islice(itertools.cycle(cluster.brokers), ROUNDS):
            victim.kill()
            damage.fault()
            await damage.calm()
            await victim.restart()
            await cluster.joined()
        await damage.stop()
        report(request, damage.row("broker of a cluster killed"))
        check(damage)


@pytest.mark.timeout(300)
async def test_stopped_with_a_full_write_buffer(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """At first the client's own: large bodies wait for it, and it goes on when they are out of date."""
    effects = tmp_path / "effects"
    async with load_on_a_cluster(effects) as (cluster, mesh, damage):
        for victim in itertools.islice(itertools.cycle(cluster.brokers), ROUNDS):
            large = Load(
                mesh.options(timeout_s=STORE_TIMEOUT_S), ["chaos.store"], {"blob": BODY}, callers=BODIES
            )
            victim.stop()
            damage.fault()
            large.start()
            await asyncio.sleep(STOP_S)
            victim.cont()
            await large.stop()
            await damage.calm()
            stores = Damage(mesh, effects)
            stores.changes = large
            assert stores.doubled() == []
            assert stores.ghosts(STORE_TIMEOUT_S) == []
        await damage.stop()
        report(request, damage.row("broker of a cluster stopped, its buffers full"))
        check(damage)


@pytest.mark.timeout(300)
async def test_asked_to_go(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with load_on_a_cluster(tmp_path / "effects") as (cluster, _, damage):
        for victim in itertools.islice(itertools.cycle(cluster.brokers), ROUNDS):
            victim.lame_duck()
            damage.fault()
            await victim.ended(60)
            await victim.restart()
            await cluster.joined()
            await damage.calm()
        await damage.stop()
        report(request, damage.row("broker of a cluster lame-ducked"))
        check(damage)
        assert [done.error for done in damage.changes.failed] == []


@pytest.mark.timeout(300)
async def test_all_restarted_one_after_the_other(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with load_on_a_cluster(tmp_path / "effects") as (cluster, _, damage):
        for _ in range(max(1, ROUNDS // 3)):
            damage.fault()
            await cluster.rolling()
            await damage.calm()
        await damage.stop()
        report(request, damage.row("rolling restart of a cluster"))
        check(damage)
        assert [done.error for done in damage.changes.failed] == []
