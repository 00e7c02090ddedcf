from __future__ import annotations

import asyncio

import pytest
from tests.support.links import eventually
from tests.support.puppet import Puppet, result, start, tools

from longreach import Mesh, connect
from longreach.errors import ConfigError
from longreach.transport.memory import MemoryBroker, MemoryLink


async def test_closing_leaves_nothing_behind(broker: MemoryBroker, puppet: Puppet):
    before, links = asyncio.all_tasks(), list(broker._links)
    async with connect(link=broker.link()) as mesh:
        await mesh.tools()
    assert broker._links == links
    assert len(mesh._session.tasks) == 0
    await mesh.close()
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_a_close_that_is_cancelled_closes_the_link_all_the_same(broker: MemoryBroker, puppet: Puppet):
    links = list(broker._links)
    mesh = await connect(link=broker.link())
    holding = asyncio.Event()

    async def hold() -> None:
        try:
            await holding.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)

    mesh._session.tasks.start(hold())
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await mesh.close()
    assert broker._links == links


async def test_it_can_be_awaited_as_well_as_entered(broker: MemoryBroker, puppet: Puppet):
    mesh = await connect(link=broker.link())
    assert mesh.is_up
    assert mesh.url == "memory://"
    await mesh.close()
    assert not mesh.is_up


async def test_wrong_options_are_refused_before_anything_is_opened(broker: MemoryBroker):
    for wrong in ({"residency": []}, {"region": "us", "residency": ["eu"]}, {"timeout_s": 0}):
        with pytest.raises(ConfigError):
            connect(**wrong)  # type: ignore[arg-type]


async def test_a_link_that_is_back_asks_who_is_there(broker: MemoryBroker, puppet: Puppet, mesh: Mesh):
    link = mesh._session.link
    assert isinstance(link, MemoryLink)
    asked = len(puppet.asked["who"])
    broker.cut(link)
    broker.restore(link)
    await puppet.wait("who", asked + 1)


async def test_a_link_that_flaps_with_calls_in_flight_ends_each_once(
    broker: MemoryBroker, puppet: Puppet, mesh: Mesh
):
    link = mesh._session.link
    assert isinstance(link, MemoryLink)
    puppet.on["call"] = lambda _: result()
    calls = []
    for number in range(60):
        calls.append(start(mesh, idempotent=True, timeout_s=5))
        await asyncio.sleep(0)
        if number % 20 == 10:
            broker.cut(link)
            await asyncio.sleep(0)
            broker.restore(link)
    puppet.on["alive"] = lambda _: None
    body = b'{"identity":"puppet","instance":"p1","region":"local","have":[],"done":[],"clockMs":0}'
    puppet.on["whose"] = lambda _: body
    async with asyncio.timeout(10):
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert {getattr(each, "text", each) for each in ended} == {"done"}
    stats = mesh.stats
    assert stats.calls == stats.answered == 60


async def test_announcements_after_closing_start_nothing(broker: MemoryBroker, puppet: Puppet, caplog):
    mesh = await connect(link=broker.link())
    await mesh.tools()
    later = Puppet(broker, tools("do", "more"), instance="p2")
    later.announce()
    await asyncio.sleep(0)
    await mesh.close()
    assert "sink.failed" not in caplog.messages
