"""The blocking mesh. Its loop runs in a thread of its own, and so do node and broker here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager
from unittest.mock import patch

import pytest
from tests.support.hosts import node

from longreach import Server, ToolError, sync
from longreach.client import sync as module
from longreach.client.connect import connect as connect_async
from longreach.client.sync import SyncMesh
from longreach.errors import BrokerUnavailable, ConfigError
from longreach.transport.memory import MemoryBroker

maths = Server("maths")


@maths.tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@maths.tool
async def fail() -> None:
    raise ToolError("no more")


@asynccontextmanager
async def with_a_node(**options):
    broker = MemoryBroker()
    async with node(broker, maths), connect_async(link=broker.link(), **options) as mesh:
        yield mesh


@pytest.fixture
def mesh() -> Iterator[SyncMesh]:
    with patch.object(module, "connect_async", with_a_node), sync.connect(timeout_s=5) as mesh:
        yield mesh


def test_it_calls_and_lists_and_leaves_no_thread(mesh: SyncMesh):
    assert mesh.call(add, 1, b=2) == 3
    assert mesh.call("maths.add", {"a": 1, "b": 2}).structured == {"result": 3}
    assert [tool.name for tool in mesh.tools()] == ["add", "fail"]
    assert [server.name for server in mesh.servers()] == ["maths"]
    assert len(mesh.nodes()) == 1
    mesh.refresh()
    assert mesh.url == "memory://"
    assert mesh.options(timeout_s=1).call(add, 2, 2) == 4
    mesh.options(timeout_s=1).close()
    assert mesh.call(add, 1, 1) == 2
    mesh.close()
    mesh.close()
    assert not [thread for thread in threading.enumerate() if "portal" in thread.name.lower()]


def test_errors_come_as_they_are(mesh: SyncMesh):
    with pytest.raises(ToolError, match="no more"):
        mesh.call(fail)
    with pytest.raises(ConfigError):
        mesh.call("nothing")


def test_a_connection_that_fails_leaves_no_thread():
    before = threading.active_count()
    with pytest.raises(BrokerUnavailable):
        sync.connect("nats://127.0.0.1:1", wait_s=0.01)
    assert threading.active_count() == before


def test_watching_ends_with_the_mesh(mesh: SyncMesh):
    changes = mesh.watch()
    timer = threading.Timer(0.05, lambda: mesh._portal.call(mesh._mesh.close))
    timer.start()
    assert list(changes) == []
    timer.join()
