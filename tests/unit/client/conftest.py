from __future__ import annotations

import pytest
from tests.support.hosts import Gate

from longreach.transport.memory import MemoryBroker


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def gate() -> Gate:
    return Gate()
