"""Fixtures of the tests that run against a real broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.broker import Broker


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A fresh nats-server; `@pytest.mark.parametrize("broker", [config], indirect=True)` configures it."""
    with Broker(getattr(request, "param", "")) as running:
        yield running
