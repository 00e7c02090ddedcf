"""What one node says of another in an answer to `who` is asked about, and not believed. M8.9."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.support.links import eventually
from tests.support.puppet import Puppet, tools

from longreach import connect
from longreach.transport.memory import MemoryBroker


def saying(*announcements: dict[str, Any]) -> Any:
    return lambda _: msgspec.json.encode({"announcements": list(announcements)})


async def test_a_server_that_is_not_its_own_is_not_believed(broker: MemoryBroker, puppet: Puppet) -> None:
    evil = Puppet(broker, tools("steal"), instance="evil")
    for pattern in ("lr.v1.default.local.all.docs.>", "lr.v1.default.local.req.docs.>"):
        for sid, each in tuple(evil.link._subscriptions.items()):
            if each.subject == pattern:  # the broker lets it hear neither
                evil.link.unsubscribe(evil.link._subscriptions[sid])
    true, false = puppet.announcement(), evil.announcement(seq=2**53 - 1)
    ghost = {**true, "seq": 2**53 - 1, "digest": "x" * 22, "version": "6.6.6"}
    made_up = {**true, "server": "vault", "instance": "i9"}
    evil.on["who"] = saying(false, ghost, made_up)
    async with connect(link=broker.link()) as mesh:
        (known,) = mesh.catalog.instances.values()
        assert (known.instance, known.version) == ("p1", puppet.server.version)
        assert known.digest == puppet.bundle.digest
        assert [tool.name for tool in await mesh.tools()] == ["do"]
        puppet.announce(version="1.1.0")  # the forged number makes nobody deaf to it
        await eventually(lambda: [each.version for each in mesh.catalog.instances.values()] == ["1.1.0"])


async def test_an_older_node_vouches_for_itself_only(broker: MemoryBroker, puppet: Puppet) -> None:
    about = {"identity": "puppet", "instance": "p1", "region": "local", "clockMs": 0, "have": [], "done": []}
    puppet.on["vouch"] = lambda _: msgspec.json.encode(about)
    other = {**puppet.announcement(), "instance": "p9"}
    puppet.on["who"] = lambda _: msgspec.json.encode({"announcements": [puppet.announcement(), other]})
    async with connect(link=broker.link()) as mesh:
        assert [each.instance for each in mesh.catalog.instances.values()] == ["p1"]


async def test_a_node_vouches_for_no_other(broker: MemoryBroker, puppet: Puppet) -> None:
    mine = puppet.announcement(instance="p9")
    about = {"identity": "puppet", "instance": "p1", "region": "local", "clockMs": 0, "have": [], "done": []}
    puppet.on["vouch"] = lambda _: msgspec.json.encode({**about, "announcement": mine})
    async with connect(link=broker.link()) as mesh:
        assert not mesh.catalog.instances


async def test_no_question_can_be_answered_by_who_saw_another(broker: MemoryBroker, puppet: Puppet) -> None:
    async with connect(link=broker.link()) as mesh:
        inbox = mesh._session.home.inbox
        marks = {inbox.new_token(0).split("-")[0].partition("z")[2] for _ in range(2000)}
    assert len(marks) == 2000
    assert {len(mark) for mark in marks} == {16}
