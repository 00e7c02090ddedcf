from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.hosts import Gate
from tests.support.puppet import Puppet, tools

from longreach import Mesh, connect
from longreach.client import discovery
from longreach.node import announcer
from longreach.transport.memory import MemoryBroker


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process all who answer `who` have answered within a few milliseconds."""
    monkeypatch.setattr(discovery, "_WHO_QUIET_S", 0.01)
    monkeypatch.setattr(announcer, "_JITTER_S", 0.002)


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def gate() -> Gate:
    return Gate()


@pytest.fixture
async def mesh(broker: MemoryBroker, puppet: Puppet) -> AsyncIterator[Mesh]:
    async with connect(link=broker.link(), timeout_s=5) as mesh:
        await mesh.tools()
        yield mesh


@pytest.fixture
async def puppet(broker: MemoryBroker) -> Puppet:
    return Puppet(broker, tools("do"))
