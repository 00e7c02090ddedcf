from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.bridges import Meshed, meshed


@pytest.fixture
async def mesh_of() -> AsyncIterator[Meshed]:
    async with meshed() as made:
        yield made
