"""What discovery hears costs the same however much it knows; what has left takes no room for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.links import eventually
from tests.support.puppet import Puppet, tools

from longreach import connect
from longreach.client import discovery
from longreach.policy import instances
from longreach.policy.catalog import Catalog
from longreach.transport.memory import MemoryBroker


def announce(puppet: Puppet, instance: str, state: str = "up", **changes: Any) -> None:
    subject = f"lr.v1.default.local.adv.docs.puppet.{instance}"
    said = puppet.announcement(state, instance=instance, **changes)
    puppet.link.send(subject, msgspec.json.encode(said))


async def test_changes_of_one_turn_are_told_together_and_late_heartbeats_not_at_all(broker: MemoryBroker):
    puppet = Puppet(broker, tools("do"))
    async with connect(link=broker.link()) as mesh:
        told: list[tuple[Catalog, Catalog]] = []
        mesh.on_catalog(lambda before, after: told.append((before, after)))
        for number in range(500):
            announce(puppet, f"i{number}")
        await eventually(lambda: len(mesh.catalog.instances) == 501)
        await asyncio.sleep(0)
        ((before, after),) = told
        assert len(after.moved(before)) == 500
        for number in range(500):
            announce(puppet, f"i{number}", clockMs=puppet.clock_ms() - 150)
        heard = mesh._session.discovery.hearing
        await eventually(lambda: min(map(heard.skew_ms, mesh.catalog.instances.values())) <= -150)
        await asyncio.sleep(0)
        assert (len(told), mesh.catalog) == (1, after)


@pytest.mark.parametrize("ask_every_s", [None, 0.02])
async def test_ended_lives_of_one_identity_take_no_room_from_new_ones(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch, ask_every_s: float | None
):
    """With `ask_every_s` nothing was ever forgotten: after so many lives no new node was seen."""
    monkeypatch.setattr(instances, "MAX_OF_ONE", 5)
    monkeypatch.setattr(discovery, "_WHO_RATE_PER_S", 1000.0)
    puppet = Puppet(broker, tools("do"))
    async with connect(link=broker.link(), ask_every_s=ask_every_s) as mesh:
        for life in range(30):
            puppet.announce("down")
            puppet.instance = f"life{life}"
            if ask_every_s is None:
                puppet.announce()
            await eventually(
                lambda: [i.instance for i in mesh.catalog.instances.values()] == [puppet.instance]
            )
        assert len(mesh._session.discovery.hearing) == 1


async def test_wrong_clocks_are_logged_once_in_a_while_not_for_each_instance(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
):
    puppet = Puppet(broker, tools("do"))
    async with connect(link=broker.link()) as mesh:
        for number in range(100):
            announce(puppet, f"i{number}", clockMs=puppet.clock_ms() + 60_000)
        await eventually(lambda: len(mesh.catalog.instances) == 101)
    assert [record.getMessage() for record in caplog.records].count("clock.skewed") == 1


async def test_a_client_asks_who_at_a_bounded_rate_and_nobody_waits_for_ever(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(discovery, "_WHO_BURST", 3)
    puppet = Puppet(broker, tools("do"))
    async with connect(link=broker.link()) as mesh:
        before = len(puppet.asked["who"])
        asking = mesh._session.discovery
        for _ in range(3 - before):
            await asking.refresh()
        await asyncio.gather(*(asking.refresh() for _ in range(20)))
        assert len(puppet.asked["who"]) == 4


async def test_what_cannot_be_fetched_is_not_asked_for_with_each_heartbeat(broker: MemoryBroker):
    puppet = Puppet(broker, tools("do"))
    async with connect(link=broker.link()) as mesh:
        await mesh.tools()
        asked = len(puppet.asked["blobs"])
        for number in range(50):
            announce(puppet, f"i{number}", digest="nobody-has-it")
        found = mesh._session.discovery
        await eventually(lambda: "docs" in found._failed)
        tried = len(puppet.asked["blobs"])
        assert tried - asked <= 12
        for number in range(50):
            announce(puppet, f"i{number}", digest="nobody-has-it")
        seq = puppet.seq
        await eventually(lambda: found.hearing._up["puppet", "i49", "docs"].seq == seq)
        assert len(puppet.asked["blobs"]) == tried
