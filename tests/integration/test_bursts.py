"""Many large results at once: each call is answered, whatever node, broker and link do meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from longreach import Mesh, connect
from longreach.errors import LongreachError
from longreach.testing import Broker, Cluster, NodeProcess

NODE = "tests.support.burst_node:burst"
ROUNDS = int(os.environ.get("LONGREACH_BURST_ROUNDS", "1"))
BURSTS = [(100, 100_000), (60, 400_000), (60, 900_000), (20, 3_000_000)]
NAMES = ["100x100kB", "60x400kB", "60x900kB", "20x3MB"]


async def burst(
    mesh: Mesh, count: int, size: int, seconds: float = 0.0, *, meet: int | None = None
) -> Counter[str]:
    """How `count` calls ended that all get `size` characters in one turn of the node's loop.

    Where they go to several nodes, `meet` is 1: they wait for nobody but `seconds`.
    """

    async def call() -> str:
        try:
            arguments = {"size": size, "count": meet or count, "seconds": seconds}
            result = await mesh.call("burst.give", arguments, timeout_s=60)
        except LongreachError as error:
            return f"{error.delivered} {error.reason}"
        return "answered" if len(result.text) == size else "another result"

    return Counter(await asyncio.gather(*(call() for _ in range(count))))


@pytest.mark.parametrize(("count", "size"), BURSTS, ids=NAMES)
async def test_a_burst_of_results_is_answered(broker: Broker, count: int, size: int):
    async with NodeProcess(NODE, broker.url), connect(broker.url) as mesh:
        for _ in range(ROUNDS):
            assert await burst(mesh, count, size) == {"answered": count}


async def during(mesh: Mesh, count: int, size: int, act: Callable[[], Awaitable[object]]) -> None:
    """A burst whose results come while `act` is under way."""
    async with asyncio.TaskGroup() as group:
        calls = group.create_task(burst(mesh, count, size, seconds=0.5))
        await asyncio.sleep(0.4)  # where in the burst it happens is chance, and matters to no assertion
        await act()
    assert calls.result() == {"answered": count}


@pytest.mark.parametrize(("count", "size"), BURSTS, ids=NAMES)
async def test_a_drain_waits_until_the_results_of_a_burst_are_taken(broker: Broker, count: int, size: int):
    for _ in range(ROUNDS):
        async with NodeProcess(NODE, broker.url) as node, connect(broker.url) as mesh:

            async def drain(node: NodeProcess = node) -> None:
                node.terminate()

            await during(mesh, count, size, drain)
            assert await node.ended(40) == 0
            assert node.events("results.given_up") == []


@pytest.mark.parametrize(("count", "size"), BURSTS, ids=NAMES)
async def test_a_rolling_restart_loses_no_result_of_a_burst(broker: Broker, count: int, size: int):
    """Each of two nodes is drained and replaced while its results are on their way."""
    async with (
        NodeProcess(NODE, broker.url) as one,
        NodeProcess(NODE, broker.url) as two,
        connect(broker.url) as mesh,
    ):
        for node in (one, two):
            async with asyncio.TaskGroup() as group:
                calls = group.create_task(burst(mesh, count, size, seconds=0.5, meet=1))
                await asyncio.sleep(0.4)
                node.terminate()
                assert await node.ended(40) == 0
            assert calls.result() == {"answered": count}
            assert node.events("results.given_up") == []
            await node.restart()


@pytest.mark.parametrize(("count", "size"), BURSTS, ids=NAMES)
async def test_a_broker_that_is_killed_in_a_burst_is_told_and_nothing_runs_twice(
    broker: Broker, count: int, size: int
):
    async with NodeProcess(NODE, broker.url), connect(broker.url) as mesh:
        async with asyncio.TaskGroup() as group:
            calls = group.create_task(burst(mesh, count, size, seconds=0.5))
            await asyncio.sleep(0.45)
            await asyncio.to_thread(broker.restart)
        ended = calls.result()
        assert ended.total() == count
        assert all(how == "answered" or how.startswith("unknown ") for how in ended), ended
        async with asyncio.timeout(20):  # the node may find the broker later than the caller
            while not await mesh.servers():
                await asyncio.sleep(0.05)
        assert (await mesh.call("burst.ran", {})).structured == {"result": count}


@pytest.mark.parametrize(("count", "size"), BURSTS, ids=NAMES)
async def test_a_link_that_moves_loses_no_result_of_a_burst(count: int, size: int):
    """A lame duck asks the node to go to another broker of its cluster."""
    async with (
        Cluster(size=3) as cluster,
        NodeProcess(NODE, cluster.urls) as node,
        connect(cluster.urls[1:]) as mesh,
    ):
        assert await burst(mesh, 10, 1000) == {"answered": 10}

        async def lame() -> None:
            cluster.brokers[0].lame_duck()

        await during(mesh, count, size, lame)
        assert node.events("link.down") == []


async def test_a_mailbox_full_of_calls_that_hold_the_loop_is_answered(broker: Broker):
    async with NodeProcess(NODE, broker.url), connect(broker.url) as mesh:

        async def call() -> str:
            try:
                return (await mesh.call("burst.burn", {}, timeout_s=60)).text
            except LongreachError as error:
                return f"{error.delivered} {error.reason}"

        ended = Counter(await asyncio.gather(*(call() for _ in range(250))))
        assert ended == {"burnt": 250}
