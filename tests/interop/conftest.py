"""The broker of the integration tests serves here too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.broker import Broker


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running
