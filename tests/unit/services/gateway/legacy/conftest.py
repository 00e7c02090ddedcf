from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tests.support.faces import FaceDouble

from longreach.client.view import Place
from longreach.transport.memory import MemoryBroker, MemoryLink
from longreach_gateway.legacy.era import LegacyEra


class Gateways:
    """Gateways over one broker in memory."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.broker = MemoryBroker()
        self.links: dict[LegacyEra, MemoryLink] = {}
        self._stack = stack

    async def start(self, name: str = "g", face: FaceDouble | None = None, **options: Any) -> LegacyEra:
        link = self.broker.link(
            **{key: options.pop(key) for key in ("publish", "subscribe") if key in options}
        )
        shown = face or FaceDouble()
        place = Place(link, "default", options.pop("region", None), options.pop("residency", None))
        era = LegacyEra(lambda path, query: shown, name, place, **options)
        self.links[era] = link
        self._stack.push_async_callback(link.close)
        self._stack.push_async_callback(era.close)
        era.open()
        return era


@asynccontextmanager
async def gateways_of() -> AsyncIterator[Gateways]:
    async with AsyncExitStack() as stack:
        yield Gateways(stack)


@pytest.fixture
async def gateways() -> AsyncIterator[Gateways]:
    async with gateways_of() as made:
        yield made


Start = Callable[..., Any]
