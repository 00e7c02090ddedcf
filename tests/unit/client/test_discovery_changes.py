"""A changed tool costs the manifest and that tool, and what was replaced is dropped."""

from __future__ import annotations

import msgspec
from tests.support.links import eventually
from tests.support.puppet import Puppet, tools

from longreach import Mesh, connect
from longreach.transport.memory import MemoryBroker


async def test_a_changed_server_costs_its_manifest_and_what_is_new(broker: MemoryBroker):
    """M8.4: two levels, so that the tools that stay the same are not fetched again."""
    first = Puppet(broker, tools("a", "b", "c"))
    async with connect(link=broker.link()) as mesh:
        await mesh.tools()
        old, before = first.contents, len(first.asked["blobs"])
        changed = Puppet(MemoryBroker(), tools("a", "b", "d"))
        first.contents = changed.contents
        first.announce(digest=changed.bundle.digest, seq=100)
        await eventually(lambda: changed.bundle.digest in mesh.catalog.names)
        asked = [digest for ask in first.asked["blobs"][before:] for digest in ask.body["digests"]]
        new = changed.contents.keys() - old.keys()
        assert sorted(asked) == sorted(new)
        assert len(new) == 2
        assert mesh.catalog.manifests.keys() == {changed.bundle.digest}
        assert [tool.name for tool in mesh.catalog.tools.values()] == ["a", "b", "d"]


async def test_what_a_server_that_left_offered_is_dropped(broker: MemoryBroker):
    puppet = Puppet(broker, tools("a"))
    async with connect(link=broker.link()) as mesh:
        await mesh.tools()
        puppet.announce("down")
        await eventually(lambda: not mesh.catalog.instances)
        assert [*mesh.catalog.manifests, *mesh.catalog.tools, *mesh.catalog.names] == []


async def test_an_answer_to_who_takes_nobody_down(broker: MemoryBroker, puppet: Puppet, mesh: Mesh):
    """Any node may answer `who`, and nothing vouches for what it says of others."""
    (known,) = mesh.catalog.instances.values()
    puppet.on["who"] = lambda _: msgspec.json.encode({"announcements": [puppet.announcement("down")]})
    puppet.on["vouch"] = lambda _: None
    await mesh._session.discovery.refresh()
    assert known.key in mesh.catalog.instances
    puppet.announce("down")
    await eventually(lambda: known.key not in mesh.catalog.instances)
