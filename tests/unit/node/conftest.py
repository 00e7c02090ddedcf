from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.asker import Asker
from tests.support.hosts import Gate

from longreach.transport.memory import MemoryBroker


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def gate() -> Gate:
    return Gate()


@pytest.fixture
async def asker(broker: MemoryBroker) -> AsyncIterator[Asker]:
    asker = Asker(broker)
    yield asker
    await asker.link.close()
