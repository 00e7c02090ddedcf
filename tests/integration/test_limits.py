"""Limits of callers on node processes and a real broker: by flags, for each caller, over a fleet."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from longreach import Limits, NatsOptions, Node, NodeSettings, Server, connect
from longreach.errors import CallTimeout, NotStarted
from longreach.testing import Broker, NodeProcess

ROOT = Path(__file__).resolve().parents[2]
NARROW = "tests.support.overload_node:narrow"


async def test_flags_limit_each_caller_of_a_node():
    flags = ("--limit-rate", "0.01", "--limit-burst", "2", "--limit-concurrency", "5")
    async with Broker() as broker, NodeProcess(NARROW, broker.url, flags=flags, folder=ROOT):
        for caller in ("a", "b"):
            async with connect(broker.url, caller=caller, timeout_s=5) as mesh:
                for _ in range(2):
                    assert (await mesh.call("narrow.wait")).text == "done"
                with pytest.raises(NotStarted, match="beyond your limit") as refused:
                    await mesh.call("narrow.wait")
                assert (refused.value.reason, refused.value.limit) == ("busy", "rate")
                assert refused.value.retry_after_s is not None
                assert 50 < refused.value.retry_after_s <= 60


async def test_a_fleet_s_rate_is_shared_by_its_nodes():
    """Two nodes, 20 calls a second in all: what gets through in a while is that much, wherever it goes."""

    def server() -> Server:
        served = Server("shared")

        @served.tool(read_only=True, limits=Limits(fleet_rate_per_s=20, burst=2))
        async def tick() -> str:
            return "tick"

        return served

    seconds = 2.0
    async with Broker() as broker:
        settings = [
            NodeSettings(identity=f"n{number}", connection=NatsOptions(urls=(broker.url,)))
            for number in range(2)
        ]
        async with (
            Node(server(), settings=settings[0]) as first,
            Node(server(), settings=settings[1]) as second,
            connect(broker.url, timeout_s=1) as mesh,
        ):
            async with asyncio.timeout(10):
                while [node._hosted[0]._limiting._share for node in (first, second)] != [0.5, 0.5]:
                    await asyncio.sleep(0.01)
            loop = asyncio.get_running_loop()
            end, passed, limits = loop.time() + seconds, 0, set[str | None]()

            async def go_on() -> None:
                nonlocal passed
                while loop.time() < end:
                    try:
                        _ = await mesh.call("shared.tick", timeout_s=0.2)
                    except NotStarted as refused:
                        limits.add(refused.limit)
                    except CallTimeout:  # on a machine that is busy with other things
                        continue
                    else:
                        passed += 1

            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    _ = group.create_task(go_on())
    assert limits == {"fleet_rate"}
    assert 20 * seconds * 0.5 <= passed <= 20 * (seconds + 0.3) + 2 + 1
