"""The kit for tests, on real processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.support.links import Inbox, eventually

from longreach import connect
from longreach.testing import Broker, Cluster, Leaf, NodeProcess, Regions
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions

ROOT = Path(__file__).resolve().parents[3]
NODE = "tests.support.chaos_node:chaos"


async def link_to(url: str) -> NatsLink:
    return await NatsLink.open(NatsOptions(urls=(url,)))


async def passes(sender: NatsLink, receiver: NatsLink, timeout_s: float = 10) -> None:
    """Messages come from one to the other, sooner or later."""
    inbox = Inbox()
    subscription = receiver.subscribe("kit.test", inbox)
    try:
        async with asyncio.timeout(timeout_s):
            while not inbox.messages:
                sender.send("kit.test", b"here")
                await asyncio.sleep(0.02)
    finally:
        receiver.unsubscribe(subscription)


async def test_a_broker_is_killed_and_comes_back_on_its_port():
    async with Broker() as broker:
        pid = broker.pid
        broker.kill()
        assert await broker.ended() == 137
        await broker.restart()
        assert broker.pid != pid
        link = await link_to(broker.url)
        assert (await broker.monitor("connz"))["num_connections"] == 1
        await link.close()


async def test_a_broker_that_is_stopped_can_be_continued_and_closed():
    async with Broker() as broker:
        broker.stop()
        await eventually(lambda: psutil.Process(broker.pid).status() == psutil.STATUS_STOPPED)
        broker.cont()
        await (await link_to(broker.url)).close()
        broker.stop()
        pid = broker.pid
    assert not psutil.pid_exists(pid)


async def test_a_broker_that_cannot_start_says_why():
    with pytest.raises(RuntimeError, match=r"(?s)does not come up.*Parse error"):
        async with Broker("nonsense { a: b "):
            pass


async def test_a_cluster_is_one():
    async with Cluster(3) as cluster:
        links = [await link_to(url) for url in cluster.urls]
        await passes(links[0], links[1])
        await passes(links[1], links[2])
        for link in links:
            await link.close()


async def test_regions_are_joined_cut_off_and_joined_again():
    seen: list[bytes] = []
    async with Regions({"eu": 1, "us": 1}, tap=lambda way, data: seen.append(data)) as regions:
        eu, us = await link_to(regions["eu"].url), await link_to(regions["us"].url)
        await passes(eu, us)
        assert any(b"kit.test" in data for data in seen)
        inbox = Inbox()
        us.subscribe("kit.more", inbox)
        await us.fence(5)
        await passes(eu, us)
        regions.cut()
        eu.send("kit.more", b"held")
        await eu.fence(5)
        regions.heal()
        await eventually(lambda: bool(inbox.messages))
        for link in (eu, us):
            await link.close()


async def test_a_leaf_is_joined_cut_off_and_joined_again():
    async with Broker() as hub, Leaf(hub) as leaf:
        near, far = await link_to(leaf.url), await link_to(hub.url)
        await passes(near, far)
        leaf.link.cut(closing=True)
        with pytest.raises(TimeoutError):
            await passes(near, far, 0.2)
        leaf.link.heal()
        await passes(near, far)
        for link in (near, far):
            await link.close()


async def test_a_node_serves_and_is_drained():
    async with Broker() as broker, NodeProcess(NODE, broker.url, region="eu", folder=ROOT) as node:
        async with connect(broker.url) as mesh:
            assert (await mesh.call("chaos.where")).text == node.node
        node.terminate()
        assert await node.ended() == 0
        assert node.events("node.draining")


async def test_a_node_that_cannot_start_says_why():
    async with Broker() as broker:
        with pytest.raises(RuntimeError, match=r"(?s)does not come up.*no_such_module"):
            async with NodeProcess("no_such_module:app", broker.url):
                pass


_TEST_THAT_IS_KILLED = """
import os, signal, sys
from longreach.testing import Broker, NodeProcess
with Broker() as broker, NodeProcess(sys.argv[1], broker.url) as node:
    print(broker.pid, node.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_nothing_outlives_a_test_that_is_killed():
    words = [sys.executable, "-c", _TEST_THAT_IS_KILLED, NODE]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = await asyncio.to_thread(
        subprocess.run, words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=False
    )
    pids = [int(word) for word in ended.stdout.split()]
    assert len(pids) == 2
    await eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))
