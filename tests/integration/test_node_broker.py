"""A node and the embedded broker: whoever starts one ends it, and whoever needs one has it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.support.links import eventually

from longreach import Node, Server
from longreach.node import broker as node_broker
from longreach.transport.embedded import EmbeddedBroker, Found, find_running
from longreach.transport.natslink import NatsLink


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGREACH_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


async def test_a_node_that_joins_as_the_owner_ends_starts_a_broker_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
):
    owner = await asyncio.to_thread(EmbeddedBroker.find_or_start)
    assert owner.handle is not None

    class Racing:
        @staticmethod
        def find_or_start() -> Found:
            found = EmbeddedBroker.find_or_start()
            assert owner.handle is not None
            owner.handle.stop()
            return found

        take_over = EmbeddedBroker.take_over

    monkeypatch.setattr(node_broker, "EmbeddedBroker", Racing)
    monkeypatch.setattr(node_broker, "_OPEN_TIMEOUT_S", 0.3)
    async with asyncio.timeout(15), Node(Server("docs")) as node:
        assert node.state == "serving"


def test_stopping_one_broker_twice_stops_no_other(tmp_path: Path):
    """The second time, the number of its descriptor may be another broker's."""
    first = EmbeddedBroker.find_or_start(tmp_path / "a").handle
    assert first is not None
    first.stop()
    second = EmbeddedBroker.find_or_start(tmp_path / "b").handle
    assert second is not None
    first.stop()
    assert find_running(tmp_path / "b") is not None
    second.stop()


async def test_a_start_that_is_cancelled_leaves_no_broker_behind(monkeypatch: pytest.MonkeyPatch):
    connecting = asyncio.Event()

    async def never(*_: object, **__: object) -> NatsLink:
        connecting.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(NatsLink, "open", never)
    node = Node(Server("docs"))
    start = asyncio.get_running_loop().create_task(node.start())
    async with asyncio.timeout(10):
        await connecting.wait()
        assert find_running() is not None
        start.cancel()
        await asyncio.wait({start})
    assert find_running() is None


@pytest.mark.skipif(sys.platform != "linux", reason="counted in /proc")
async def test_a_broker_that_dies_again_and_again_leaves_no_descriptor_and_no_process(folder: Path):
    def children() -> set[int]:
        return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))

    async with asyncio.timeout(30), Node(Server("docs")) as node:
        before = len(os.listdir("/proc/self/fd")), len(children())
        for _ in range(2):
            assert node._broker is not None
            first = node._broker._handle
            assert first is not None
            os.kill(first.pid, signal.SIGKILL)
            await eventually(lambda first=first: node._broker._handle is not first and node._link.is_up)
            await eventually(lambda: len(children()) == before[1])
        assert len(os.listdir("/proc/self/fd")) == before[0]
