"""Ten times more load than a tool can bear: what it can bear is done, and the rest is told so at once.

Acceptance 5 of issue 4. LONGREACH_OVERLOAD_S is how long each load lasts.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest
from tests.support.damage import ROOT, Row, report
from tests.support.overload import OpenLoad, Probes, probe
from tests.support.overload_node import CAPACITY_PER_S
from tests.support.timing import allowed, at_least, at_most

from longreach import connect
from longreach.testing import Broker, NodeProcess

SECONDS = float(os.environ.get("LONGREACH_OVERLOAD_S", "3"))
WARM_UP_S = min(5.0, SECONDS / 3)
"""The mailbox fills, and the node learns how long calls take and wait."""
TIMEOUT_S = 2.0
TIMES = 10
REFUSED_S = 0.1
SLACK_S = 0.1
"""Between a deadline and the moment a test notices, besides the lag of its own loop."""
GROWTH_MIB = 16.0


@asynccontextmanager
async def narrow() -> AsyncIterator[tuple[Broker, NodeProcess]]:
    async with (
        Broker() as broker,
        NodeProcess("tests.support.overload_node:narrow", broker.url, folder=ROOT) as node,
    ):
        yield broker, node


async def under(
    broker: Broker, node: NodeProcess, loads: list[OpenLoad], tool: str
) -> tuple[float, Probes, float]:
    """Let the loads go on; when the measuring began, probes as the first load's caller, growth in MiB."""
    process = psutil.Process(node.pid)
    async with asyncio.TaskGroup() as group:
        for load in loads:
            _ = group.create_task(load.run(SECONDS))
        await asyncio.sleep(WARM_UP_S)
        probing = group.create_task(probe(broker.url, "flood", "narrow", tool, SECONDS - WARM_UP_S))
        since, before = time.monotonic(), process.memory_info().rss
        await asyncio.sleep(SECONDS - WARM_UP_S)
        grown = (process.memory_info().rss - before) / 2**20
    return since, probing.result(), grown


def check(request: pytest.FixtureRequest, fault: str, load: OpenLoad, probes: Probes, grown: float) -> None:
    """What must be true of every overload, whatever it was made of."""
    endings = load.endings
    refusals = sorted(probes.refusals)
    slow = refusals[int(len(refusals) * 0.99)] if refusals else 0.0
    print(
        f"  {fault}: {dict(endings)}, latest {load.latest_s * 1000:.0f} ms, lag {load.lag_s * 1000:.0f} ms, "
        f"refusals {len(refusals)}, p99 {slow * 1000:.1f} ms, max {max(refusals, default=0) * 1000:.1f} ms, "
        f"grown {grown:.1f} MiB, open {load.most_open}, attempts {load.mesh.stats.attempts}"
    )
    report(
        request,
        Row(
            fault=fault,
            rounds=1,
            calls=len(load.calls),
            in_flight=load.most_open,
            failed=sum(count for how, count in endings.items() if not how.endswith(("ok", "/no"))),
            refused=sum(count for how, count in endings.items() if how.endswith("/no")),
            retried=load.mesh.stats.retried,
            doubled=0,
            longest_s=max(0.0, load.latest_s),
        ),
    )
    refused = endings["busy/no"]
    others = {how: count for how, count in endings.items() if how not in ("ok", "busy/no", "expired/no")}
    assert refused > 0
    # A call may run out of time, on a busy machine many do: each says so, and none is lost.
    assert others.keys() <= {"deadline/unknown", "deadline/no"}, others
    assert sum(others.values()) <= at_most(0.01) * len(load.calls), others
    assert not [how for how in others if how.startswith(("no_responders", "node_", "nobody"))], others
    assert load.latest_s < load.lag_s + allowed(SLACK_S)
    assert refusals
    assert slow < allowed(REFUSED_S)
    assert {error["data"]["reason"] for error in probes.errors} == {"busy"}
    assert all(error["data"]["retryAfterMs"] > 0 for error in probes.errors)
    assert grown < GROWTH_MIB


def answered_share(probes: Probes, *answered_per_s: float) -> float:
    """Of what the tool can do, what it did while the measuring went on; for the probes as well."""
    return (sum(answered_per_s) + probes.results / (SECONDS - WARM_UP_S)) / CAPACITY_PER_S


@pytest.mark.timeout(300)
@pytest.mark.parametrize("tool", ["wait", "block"])
async def test_ten_times_more_load_than_capacity(request: pytest.FixtureRequest, tool: str) -> None:
    async with narrow() as (broker, node), connect(broker.url, caller="flood") as mesh:
        load = OpenLoad(mesh, f"narrow.{tool}", TIMES * CAPACITY_PER_S, TIMEOUT_S)
        assert (await mesh.call(f"narrow.{tool}")).text == "done"
        since, probes, grown = await under(broker, node, [load], tool)
    goodput = answered_share(probes, load.goodput(since, since + SECONDS - WARM_UP_S))
    print(f"\n  goodput {goodput:.3f} of {CAPACITY_PER_S:g}/s")
    check(request, f"overload x{TIMES} ({tool}), goodput {goodput:.2f}", load, probes, grown)
    assert goodput >= at_least(0.9)


@pytest.mark.timeout(300)
async def test_one_caller_floods_and_another_keeps_its_share(request: pytest.FixtureRequest) -> None:
    share = CAPACITY_PER_S / 2
    async with (
        narrow() as (broker, node),
        connect(broker.url, caller="flood") as flooding,
        connect(broker.url, caller="polite") as asking,
    ):
        flood = OpenLoad(flooding, "narrow.wait", TIMES * CAPACITY_PER_S, TIMEOUT_S)
        polite = OpenLoad(asking, "narrow.wait", share, TIMEOUT_S)
        since, probes, grown = await under(broker, node, [flood, polite], "wait")
    until = since + SECONDS - WARM_UP_S
    kept = polite.answered(since, until)  # it asks for its share, no more
    goodput = answered_share(probes, polite.goodput(since, until), flood.goodput(since, until))
    print(f"\n  the other kept {kept:.3f} of its share, {dict(polite.endings)}; goodput {goodput:.3f}")
    check(request, f"a flood x{TIMES}, the other keeps {kept:.2f}", flood, probes, grown)
    assert kept >= at_least(0.8)
    assert polite.latest_s < polite.lag_s + allowed(SLACK_S)
    assert goodput >= at_least(0.9)
