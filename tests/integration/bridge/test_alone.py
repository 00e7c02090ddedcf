"""Of two that start at the same time, the same one gives way on both sides."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.broker import Broker

from longreach import NatsOptions, Node, NodeSettings, Server
from longreach.tasks import TaskSet
from longreach_bridge.alone import LABEL, REPLICA, SINGLE, NotAlone, check_alone, stay_alone


def settings(broker: Broker, kind: str | None, region: str = "eu") -> NodeSettings:
    labels = {} if kind is None else {LABEL: kind}
    return NodeSettings(region=region, labels=labels, connection=NatsOptions(urls=(broker.url,)))


def made(broker: Broker, kind: str | None = SINGLE, region: str = "eu") -> Node:
    return Node(Server("docs", version="1.0.0"), settings=settings(broker, kind, region))


async def test_exactly_one_of_two_stays(broker: Broker) -> None:
    tasks = TaskSet("watch")
    async with made(broker) as one, made(broker) as two:
        for node in (one, two):
            tasks.start(stay_alone(node))
        async with asyncio.timeout(20):
            while "stopped" not in (one.state, two.state):
                await asyncio.sleep(0.02)

        stays, gave_way = (one, two) if two.state == "stopped" else (two, one)
        assert stays.state == "serving"
        assert stays.failed is None
        assert "no replica" in str(gave_way.failed)
        assert stays.instance < gave_way.instance
    await tasks.close()


@pytest.mark.parametrize(
    ("there", "comes", "region", "may"),
    [
        (SINGLE, SINGLE, "eu", False),
        (SINGLE, REPLICA, "eu", False),
        (REPLICA, SINGLE, "eu", False),
        (REPLICA, REPLICA, "eu", True),
        (None, SINGLE, "eu", False),
        (None, REPLICA, "eu", True),
        (SINGLE, SINGLE, "us", True),
    ],
)
async def test_who_may_join_whom(
    broker: Broker, there: str | None, comes: str, region: str, may: bool
) -> None:
    async with made(broker, there):
        joining = check_alone(settings(broker, comes, region), "docs")
        if may:
            await joining
        else:
            with pytest.raises(NotAlone, match="docs is up"):
                await joining


async def test_without_a_broker_nobody_is_there(broker: Broker) -> None:
    broker.kill()

    async with asyncio.timeout(20):
        await check_alone(settings(broker, SINGLE), "docs")
