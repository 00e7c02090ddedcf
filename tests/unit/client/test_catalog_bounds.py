"""A node that announces without end fills its own share, and nobody's memory. M8.1."""

from __future__ import annotations

import pytest
from tests.support.puppet import Puppet, tools

from longreach import connect
from longreach.client import definitions
from longreach.errors import LongreachError
from longreach.policy import instances
from longreach.transport.memory import MemoryBroker


async def test_endless_instances(
    broker: MemoryBroker, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "MAX_OF_ONE", 10)
    async with connect(link=broker.link()) as mesh:
        link = broker.link()
        for number in range(40):
            body = {**puppet.announcement(), "identity": "evil", "instance": f"i{number}"}
            for state in ("up", "down", "up"):
                subject = f"lr.v1.default.local.adv.docs.evil.i{number}"
                body = {**body, "state": state, "seq": body["seq"] + 1}
                link.send(subject, definitions.msgspec.json.encode(body))
        later = Puppet(broker, tools("do"), instance="p2")
        later.announce()
        await link.fence(1)
        await later.link.fence(1)
        found = mesh.catalog.instances.values()
        assert sum(each.identity == "evil" for each in found) == 10
        assert {each.instance for each in found if each.identity == "puppet"} == {"p1", "p2"}
        hearing = mesh._session.discovery.hearing
        assert len(hearing) == 12
        hearing.forget_before(float("inf"))
        assert (len(hearing), hearing._of_one) == (0, {})


async def test_an_endless_announcement(broker: MemoryBroker, puppet: Puppet) -> None:
    async with connect(link=broker.link()) as mesh:
        puppet.announce(version="9" * 20_000)
        await puppet.link.fence(1)
        (known,) = mesh.catalog.instances.values()
        assert len(known.version) < 100


async def test_endless_definitions(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "MAX_SERVER_BYTES", 1000)
    monkeypatch.setattr(definitions, "_DIGESTS_PER_ASK", 5)
    puppet = Puppet(broker, tools(*(f"tool_{number}" for number in range(200))))
    async with connect(link=broker.link()) as mesh:
        with pytest.raises(LongreachError):
            await mesh.call("docs.none")
        assert 0 < mesh.catalog.bytes_of("docs") < 3000
        assert puppet.asked["blobs"]
