from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.links import eventually
from tests.support.puppet import Asked, Puppet, result, tools

from longreach import Mesh, connect
from longreach.client import discovery as discovery_module
from longreach.errors import ConfigError, NotFound
from longreach.transport.memory import MemoryBroker


def names(mesh: Mesh) -> list[str]:
    return [entry.name for entry in mesh.catalog.list_tools()]


async def settle(puppet: Puppet, mesh: Mesh) -> None:
    for _ in range(2):
        await puppet.link.fence(1)
        await mesh._session.link.fence(1)


async def test_each_digest_is_fetched_once_however_many_ask(broker: MemoryBroker):
    """M8.5: the asker computes the digests, and asks for what it lacks."""
    puppet, twin = Puppet(broker, tools("a", "b")), Puppet(broker, tools("a", "b"), instance="p2")
    async with connect(link=broker.link()) as mesh:
        listings = await asyncio.gather(*(mesh.tools() for _ in range(5)), mesh.servers())
    assert [tool.name for tool in listings[0]] == ["a", "b"]
    asked = [
        digest
        for node in (puppet, twin)
        for ask in node.asked.get("blobs", ())
        for digest in ask.body["digests"]
    ]
    assert len(asked) == len(set(asked)) == 3


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b'{"blobs":7}', b'{"blobs":[]}', b'{"blobs":[{"server":"forged"}],"missing":[]}'],
)
async def test_a_node_that_sends_no_blobs_is_passed_over(broker: MemoryBroker, answer: bytes):
    """M8.5: and what has another digest is not believed."""
    bad = Puppet(broker, tools("a"), instance="p1")
    bad.on["blobs"] = lambda _: answer
    async with connect(link=broker.link()) as mesh:
        good = Puppet(broker, tools("a"), instance="p2")
        good.announce()
        await eventually(lambda: len(mesh.catalog.instances) == 2)
        assert [tool.name for tool in await mesh.tools()] == ["a"]
    assert bad.asked["blobs"]


async def test_a_node_that_is_slow_to_answer_is_found(broker: MemoryBroker):
    """The silence that ends the question begins with the first answer."""
    async with connect(link=broker.link()) as mesh:
        puppet = Puppet(broker, tools("a"))
        answer = puppet.on["who"]

        def slowly(asked: Asked) -> None:
            data = answer(asked)
            assert data is not None
            asyncio.get_running_loop().call_later(0.1, puppet.link.send, asked.reply, data)

        puppet.on["who"] = slowly
        await mesh._session.discovery.refresh(30)
        assert set(mesh.catalog.servers) == {"docs"}


async def test_a_mesh_where_nobody_hears_the_question_is_not_waited_for(broker: MemoryBroker):
    async with connect(link=broker.link()) as mesh, asyncio.timeout(30):
        await mesh._session.discovery.refresh(300)
        assert not mesh.catalog.instances


async def test_an_announcement_that_is_not_newer_is_ignored(broker: MemoryBroker):
    """M8.1"""
    puppet = Puppet(broker, tools("a"))
    async with connect(link=broker.link()) as mesh:
        revision = mesh.catalog.revision
        puppet.announce("down", seq=0)
        puppet.announce("down", seq=1)
        await settle(puppet, mesh)
        assert mesh.catalog.revision == revision
        puppet.announce("down", seq=99)
        await eventually(lambda: not mesh.catalog.instances)
        puppet.announce("up", seq=98)
        await settle(puppet, mesh)
        assert not mesh.catalog.instances


async def test_what_is_malformed_or_forged_ends_no_subscription(broker: MemoryBroker):
    """M8.1, M8.11: the subject says who announces; a body that says another is not believed."""
    puppet = Puppet(broker, tools("a"))
    async with connect(link=broker.link()) as mesh:
        revision = mesh.catalog.revision
        subject = "lr.v1.default.local.adv.docs.puppet.p1"
        for body in (b"", b"{", b"[]", b"\xff", b"[" * 100_000):
            puppet.link.send(subject, body)
        changes: list[dict[str, Any]] = [
            {"server": "other"}, {"identity": "n2"}, {"instance": "p9"}, {"region": "eu"}, {"seq": -1},
            {"state": "later"}, {"identity": ""},
        ]  # fmt: skip
        for change in changes:
            puppet.link.send(subject, msgspec.json.encode({**puppet.announcement("down"), **change}))
        await settle(puppet, mesh)
        assert mesh.catalog.revision == revision
        puppet.announce("down", new_member=1)
        await eventually(lambda: not mesh.catalog.instances)


async def test_a_change_is_fetched_for_servers_that_are_wanted_only(broker: MemoryBroker):
    puppet = Puppet(broker, tools("a"))
    async with connect(link=broker.link()) as mesh:
        later = Puppet(broker, tools("a", "b"), instance="p2")
        later.announce()
        await settle(later, mesh)
        assert "blobs" not in later.asked
        await mesh.tools()
        third = Puppet(broker, tools("a", "b", "c"), instance="p3")
        third.announce()
        await eventually(lambda: names(mesh).count("c") == 1)
        assert sum(len(ask.body["digests"]) for ask in third.asked["blobs"]) == 2
    assert puppet.asked["who"]


async def test_a_census_forgets_who_does_not_answer(broker: MemoryBroker):
    puppet, silent = Puppet(broker, tools("a")), Puppet(broker, tools("a"), instance="p2")
    async with connect(link=broker.link()) as mesh:
        assert len(await mesh.nodes()) == 2
        silent.on["who"] = silent.on["vouch"] = lambda _: None
        await mesh.refresh()
        assert [node.instance for node in await mesh.nodes()] == ["p1"]
        assert puppet.asked["who"]


async def test_a_census_that_joins_a_question_believes_its_earlier_answers(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    """They came before we asked, but after the question that we share."""
    puppet = Puppet(broker, tools("a"))
    async with connect(link=broker.link()) as mesh:
        discovery = mesh._session.discovery
        heard = discovery.hearing.last_heard(next(iter(mesh.catalog.instances.values())))
        async with asyncio.TaskGroup() as group:
            monkeypatch.setattr(discovery_module, "_WHO_QUIET_S", 0.4)  # so that the question is still open
            group.create_task(discovery.refresh())
            while discovery.hearing.last_heard(next(iter(mesh.catalog.instances.values()))) <= heard:
                await asyncio.sleep(0)
            group.create_task(mesh.refresh())
        assert len(mesh.catalog.instances) == 1
        assert len(puppet.asked["who"]) == 2


async def test_a_census_without_a_link_forgets_nobody(broker: MemoryBroker):
    puppet = Puppet(broker, tools("a"))
    async with connect(link=broker.link()) as mesh:
        census = asyncio.get_running_loop().create_task(mesh.refresh())
        puppet.on["who"] = lambda _: None
        await puppet.wait("who", 2)
        broker.cut(mesh._session.link)  # type: ignore[arg-type]
        await census
        assert len(mesh.catalog.instances) == 1
        puppet.on["who"] = puppet._who
        broker.restore(mesh._session.link)  # type: ignore[arg-type]


async def test_a_cancelled_question_goes_on_for_the_others(broker: MemoryBroker):
    puppet = Puppet(broker, tools("a"))
    async with connect(link=broker.link()) as mesh:
        first, second = (asyncio.get_running_loop().create_task(mesh.refresh()) for _ in range(2))
        await puppet.wait("who", 2)
        first.cancel()
        await second
        assert first.cancelled()
        assert len(mesh._session.home.inbox) == 0


async def test_a_mesh_of_some_servers_hears_of_those_only(broker: MemoryBroker):
    Puppet(broker, tools("a"))
    async with connect(link=broker.link(), servers=["other"]) as mesh:
        assert not mesh.catalog.instances


async def test_a_pinned_mesh_asks_and_hears_its_regions_only(broker: MemoryBroker):
    here, there = (
        Puppet(broker, tools("a"), region="eu"),
        Puppet(broker, tools("a"), region="us", instance="p2"),
    )
    here.on["call"] = lambda _: result()
    async with connect(link=broker.link(), residency=["eu"]) as mesh:
        there.announce()
        await settle(there, mesh)
        assert [node.region for node in await mesh.nodes()] == ["eu"]
        await mesh.call("docs.a", {})
    assert there.asked == {}


async def test_a_mesh_on_a_thin_link_asks_in_place_of_hearing(broker: MemoryBroker):
    """What comes and goes is known with the next question, and heartbeats are not even sent to it."""
    first, second = Puppet(broker, tools("a")), Puppet(broker, tools("a"), instance="p2")
    async with connect(link=broker.link(), ask_every_s=0.2) as mesh:
        heard = [each.subject for each in mesh._session.link.heard_by_broker() if ".adv." in each.subject]  # type: ignore[attr-defined]
        assert heard == []
        assert {instance.instance for instance in mesh.catalog.instances.values()} == {"p1", "p2"}
        second.on.clear()
        await eventually(lambda: len(mesh.catalog.instances) == 1)
        assert len(first.asked["who"]) > 1


@pytest.mark.parametrize("every_s", [0, -1, float("nan")])
def test_asking_all_the_time_is_refused(every_s: float):
    with pytest.raises(ConfigError, match="ask_every_s"):
        connect(ask_every_s=every_s)


async def test_the_unknown_is_asked_for_once_more_before_it_is_not_found(broker: MemoryBroker):
    async with connect(link=broker.link()) as mesh:
        with pytest.raises(NotFound, match="no node is up"):
            await mesh.call("docs.a")
        puppet = Puppet(broker, tools("a"))
        puppet.on["call"] = lambda _: result()
        assert (await mesh.call("docs.a")).text == "done"
        with pytest.raises(NotFound, match="did you mean docs"):
            await mesh.call("dcs.a")
        with pytest.raises(NotFound, match="no tool called 'b'"):
            await mesh.call("docs.b")


async def test_large_catalogs_come_in_as_many_messages_as_it_takes(broker: MemoryBroker):
    puppet = Puppet(broker, tools(*(f"t{number}" for number in range(50))))

    def one_at_a_time(asked: Asked) -> bytes:
        digest = asked.body["digests"][0]
        return b'{"blobs":[%s]}' % puppet.contents[digest]

    puppet.on["blobs"] = one_at_a_time
    async with connect(link=broker.link()) as mesh:
        assert len(await mesh.tools()) == 50
    assert len(puppet.asked["blobs"]) == 51
