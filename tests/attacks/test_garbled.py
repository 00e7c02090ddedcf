"""Garbled copies of real traffic, at nodes, clients and gateways: nothing stops, nothing leaks.

`make fuzz` sends a million; LONGREACH_GARBLED says how many.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback

import pytest
from tests.support.besieged import (
    Alarms,
    Bus,
    Held,
    MemoryBus,
    RealBus,
    Siege,
    World,
    capture,
    memory_mb,
    settled,
    world,
)
from tests.support.broker import Broker

from longreach import NatsOptions
from longreach.transport.link import Link
from longreach.transport.memory import MemoryBroker
from longreach.transport.natslink import NatsLink
from longreach_gateway.legacy.relay import forwarding, hosting

COUNT = int(os.environ.get("LONGREACH_GARBLED", "20000"))
GROWTH_MB = 48.0


pytestmark = pytest.mark.filterwarnings(
    # The SDK leaves streams of exchanges that were broken off to the garbage collector.
    r"ignore:[\s\S]*MemoryObject:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a gateway that is silent, waits no longer than the test."""
    monkeypatch.setattr(hosting, "_BODY_S", 1.0)
    monkeypatch.setattr(hosting, "SILENT_S", 1.0)
    monkeypatch.setattr(hosting, "_SWEEP_EVERY_S", 0.25)
    monkeypatch.setattr(forwarding, "BEAT_EVERY_S", 0.1)
    monkeypatch.setattr(forwarding, "SILENT_S", 2.0)
    monkeypatch.setattr(forwarding, "TAKEN_S", 1.0)


@pytest.mark.timeout(3600)
async def test_nothing_stops_and_nothing_is_left_behind() -> None:
    broker = MemoryBroker(seed=1)

    async def link() -> Link:
        return broker.link()

    async with world(link) as made:
        await besiege(made, MemoryBus(broker), COUNT)


@pytest.mark.timeout(3600)
async def test_nor_does_it_at_a_real_broker(broker: Broker) -> None:
    async def link() -> Link:
        return await NatsLink.open(NatsOptions(urls=(broker.url,)))

    async with RealBus.to(broker.url) as bus, world(link) as made:
        await besiege(made, bus, COUNT // 10)


async def besiege(made: World, bus: Bus, count: int) -> None:
    """Send so many, and hold everybody to what they owe."""
    logging.getLogger("longreach").setLevel(logging.ERROR)
    with Alarms() as alarms:
        seen = await capture(made, bus)
        await made.check()
        before = await settled(made, Held(exchanges=0, waiters=0, calls=0))
        siege = Siege(made, bus, seen, seed=7)
        try:
            await siege.send(count // 2)
            await made.check()
            warm_mb = memory_mb()
            await siege.send(count - count // 2)
            await made.check()
            grown_mb = memory_mb() - warm_mb
            after = await settled(made, before)
        finally:
            siege.close()
    sys.stdout.write(f"{count} garbled: {dict(siege.outcomes)}, {grown_mb:.1f} MB more, {dict(after)}\n")
    failures = [
        f"{record.getMessage()} {getattr(record, 'event_fields', {})}\n"
        + "".join(traceback.format_exception(*record.exc_info) if record.exc_info else [])
        for record in alarms.records
    ]
    assert failures == []
    assert siege.broken[:5] == [], "\n".join(siege.broken[:5])
    assert {key: after[key] for key in before if after[key] > before[key]} == {}
    assert siege.outcomes["error"] > count // 50
    assert grown_mb < GROWTH_MB
