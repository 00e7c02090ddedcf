"""Listening: each change once, and nothing left of who listens no more."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.links import eventually
from tests.support.puppet import Puppet, tools

from longreach import Mesh, connect
from longreach.client import listening
from longreach.client.info import Update
from longreach.client.listening import Listening
from longreach.errors import BrokerUnavailable, ConfigError
from longreach.transport.memory import MemoryBroker
from longreach.wire.manifest import Definition, Offer
from longreach.wire.subjects import resource_hash

PROMPT = Definition("greet", b'{"name":"greet"}')


@pytest.fixture
async def mesh(broker: MemoryBroker, puppet: Puppet) -> AsyncIterator[Mesh]:
    async with connect(link=broker.link(), timeout_s=5) as mesh:
        await mesh.learn()
        yield mesh


def updated(puppet: Puppet, uri: str) -> None:
    puppet.link.send(f"lr.v1.default.{puppet.region}.evt.docs.updated.{resource_hash(uri)}", b"{}")


def held(mesh: Mesh) -> tuple[int, ...]:
    session = mesh._session
    link: Any = session.link
    lists = (session.discovery._listeners, session._on_close, session._updated, link._subscriptions)
    return tuple(map(len, lists))


async def next_of(changes: Listening) -> Update:
    async with asyncio.timeout(30):
        return await anext(changes)


async def test_a_list_that_changes_on_two_replicas_is_told_once(broker: MemoryBroker, puppet: Puppet):
    replica = Puppet(broker, tools("do"), instance="p2")
    async with connect(link=broker.link()) as mesh, mesh.listen("docs") as changes:
        for node in (puppet, replica):
            node.offer(Offer(prompts=[PROMPT]))
            node.announce()
            await eventually(lambda node=node: node.bundle.digest in mesh.catalog.names)
        for node in (puppet, replica):
            node.offer(Offer())
            node.announce()
        assert await next_of(changes) == Update("prompts", "docs")
        assert await next_of(changes) == Update("prompts", "docs")
        for node in (puppet, replica):
            node.announce("down")
        assert await next_of(changes) == Update("tools", "docs")
        await eventually(lambda: not mesh.catalog.instances)
        assert not changes._feed.unread


async def test_a_new_server_is_told_where_all_are_meant(broker: MemoryBroker, mesh: Mesh):
    async with mesh.listen(lists=["tools"]) as changes:
        other = Puppet(broker, tools("do"), instance="p9", group=False)
        other.server.name = "mail"
        other.offer(Offer())
        subject = "lr.v1.default.local.adv.mail.puppet.p9"

        other.link.send(subject, msgspec.json.encode(other.announcement()))
        assert await next_of(changes) == Update("tools", "mail")


async def test_resource_updates_are_told_each_and_of_those_that_were_named(mesh: Mesh, puppet: Puppet):
    async with mesh.listen("docs", lists=(), resources=["mem://a", "mem://b", "mem://a"]) as changes:
        for uri in ("mem://a", "mem://c", "mem://b", "mem://a"):
            updated(puppet, uri)
        heard = [(await next_of(changes)).uri for _ in range(3)]
        puppet.offer(Offer(prompts=[PROMPT]))
        puppet.announce()
        await eventually(lambda: mesh.catalog.prompts)
        assert heard == ["mem://a", "mem://b", "mem://a"]
        assert not changes._feed.unread


async def test_whoever_stops_listening_leaves_nothing(mesh: Mesh):
    before = held(mesh)
    async with mesh.listen("docs", resources=["mem://a"]):
        assert held(mesh) != before
    assert held(mesh) == before

    changes = mesh.listen("docs", resources=["mem://a"])
    waiting = asyncio.get_running_loop().create_task(next_of(changes))
    await eventually(lambda: changes._has_begun)
    await changes.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    with pytest.raises(StopAsyncIteration):
        await next_of(changes)
    assert held(mesh) == before


async def test_whoever_drops_it_leaves_nothing_either(mesh: Mesh, puppet: Puppet):
    before = held(mesh)
    changes = mesh.listen("docs", resources=["mem://a"])
    await changes.start()
    assert held(mesh) != before
    del changes
    gc.collect()
    await eventually(lambda: held(mesh) == before)

    async def read_one() -> None:
        async for _ in mesh.listen("docs", lists=(), resources=["mem://a"]):
            return

    reading = asyncio.get_running_loop().create_task(read_one())
    await eventually(lambda: held(mesh)[3] > before[3])
    await puppet.link.fence(1)
    while not reading.done():
        updated(puppet, "mem://a")
        await puppet.link.fence(1)
    gc.collect()
    await eventually(lambda: held(mesh) == before)


async def test_it_ends_with_the_mesh(broker: MemoryBroker, puppet: Puppet):
    mesh = await connect(link=broker.link())
    changes = mesh.listen()
    waiting = asyncio.get_running_loop().create_task(next_of(changes))
    await eventually(lambda: changes._has_begun)
    await mesh.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    with pytest.raises(BrokerUnavailable):
        mesh.listen()


async def test_who_reads_too_slowly_is_told_to_look_at_everything(
    mesh: Mesh, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listening, "MAX_UNREAD", 3)
    async with mesh.listen("docs", resources=["mem://a"]) as changes:
        for _ in range(5):
            updated(puppet, "mem://a")
        await eventually(lambda: len(changes._feed.unread) == 2)
        assert [(await next_of(changes)).kind for _ in range(2)] == ["resync", "resource"]


async def test_a_link_that_was_lost_may_have_cost_updates(broker: MemoryBroker, mesh: Mesh):
    link: Any = mesh._session.link
    async with mesh.listen("docs", resources=["mem://a"]) as changes:
        broker.cut(link)
        broker.restore(link)
        assert await next_of(changes) == Update("resource", "docs", "mem://a")


async def test_what_makes_no_sense_is_refused(mesh: Mesh):
    with pytest.raises(ConfigError, match="lists"):
        mesh.listen(lists=["tool"])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="server"):
        mesh.listen(resources=["mem://a"])


async def test_a_link_that_is_down_is_said_so(broker: MemoryBroker, mesh: Mesh):
    link: Any = mesh._session.link
    before = held(mesh)
    broker.cut(link)
    with pytest.raises(BrokerUnavailable):
        async with mesh.listen():
            pytest.fail("nothing is heard")
    assert held(mesh) == before
