"""Fixtures for pytest. In the topmost conftest.py: ``pytest_plugins = ["longreach.testing.pytest"]``.

They are plain fixtures: no plugin for asyncio is needed for them, and any works beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from longreach.testing.broker import Broker
from longreach.testing.cluster import Cluster
from longreach.testing.node import NodeProcess

StartNode = Callable[..., NodeProcess]
"""Takes what `NodeProcess` takes, and starts it."""


@pytest.fixture
def longreach_broker() -> Iterator[Broker]:
    """A fresh broker, for one test."""
    with Broker() as broker:
        yield broker


@pytest.fixture
def longreach_cluster() -> Iterator[Cluster]:
    """A fresh cluster of three brokers, for one test."""
    with Cluster(3) as cluster:
        yield cluster


@pytest.fixture
def longreach_node() -> Iterator[StartNode]:
    """Starts node processes, which end with the test: called as `NodeProcess`, it returns one that serves."""
    with ExitStack() as stack:

        def start(*args: Any, **kwargs: Any) -> NodeProcess:
            return stack.enter_context(NodeProcess(*args, **kwargs))

        yield start
