from __future__ import annotations

from tests.support.links import Inbox

from longreach.node.canaries import targets_of
from longreach.node.membership import Membership
from longreach.tasks import TaskSet
from longreach.transport.memory import MemoryBroker


class Group:
    def __init__(self, broker: MemoryBroker, version: str = "2.3.4") -> None:
        self.link = broker.link()
        self.tasks = TaskSet("test")
        self.membership = Membership(
            self.link,
            self.tasks,
            namespace="ns",
            region="eu",
            server="Docs",
            targets=targets_of(version, None),
        )
        self.inbox = Inbox()


async def hears(broker: MemoryBroker, group: Group, to: str, name: str = "echo") -> bool:
    sender = broker.link()
    before = len(group.inbox.messages)
    sender.send(f"lr.v1.ns.eu.req.=44ocs.{to}._._.tools-call.{name}", b"x")
    await sender.fence(1)
    await group.link.fence(1)
    await sender.close()
    return len(group.inbox.messages) > before


async def test_it_hears_any_and_its_major_version_in_the_servers_group(broker: MemoryBroker):
    """M1.5: `_` and `v<major>`, any via and caller, in the group named by the server's token."""
    group = Group(broker)
    group.membership.join("tools-call", "echo", group.inbox)
    await group.link.fence(1)
    assert [await hears(broker, group, to) for to in ("_", "v2", "v1", "v3")] == [True, True, False, False]
    assert {subscription.queue for subscription in group.link.heard_by_broker()} == {"=44ocs"}
    assert group.membership.joined == {"tools-call.echo"}


async def test_joining_twice_hears_once(broker: MemoryBroker):
    group = Group(broker)
    for _ in range(2):
        group.membership.join("tools-call", "echo", group.inbox)
    await group.link.fence(1)
    await hears(broker, group, "_")
    assert len(group.inbox.messages) == 1


async def test_what_was_on_its_way_when_it_left_still_arrives(broker: MemoryBroker):
    group, sender = Group(broker), broker.link()
    group.membership.join("tools-call", "echo", group.inbox)
    await group.link.fence(1)
    sender.send("lr.v1.ns.eu.req.=44ocs._._._.tools-call.echo", b"x")
    group.membership.leave(["tools-call.echo"])
    assert group.membership.joined == frozenset()
    await group.membership.leave_all()
    await group.link.fence(1)
    assert group.inbox.bodies == [b"x"]
    assert not await hears(broker, group, "_")
    await group.tasks.close()


async def test_when_it_has_left_for_good_nobody_joins_any_more(broker: MemoryBroker):
    """An actor that comes back while its node drains would take calls behind the fence."""
    group = Group(broker)
    group.membership.join("tools-call", "echo", group.inbox)
    await group.membership.leave_all()
    group.membership.join("tools-call", "echo", group.inbox)
    await group.link.fence(1)
    assert not await hears(broker, group, "_")
    assert group.membership.joined == frozenset()


async def test_leaving_what_was_never_joined_is_nothing(broker: MemoryBroker):
    group = Group(broker)
    group.membership.leave(["tools-call.echo"])
    assert len(group.tasks) == 0


async def test_without_a_link_leaving_ends_at_once(broker: MemoryBroker):
    group = Group(broker)
    group.membership.join("tools-call", "echo", group.inbox)
    await group.link.fence(1)
    broker.cut(group.link)
    await group.membership.leave_all()
    broker.restore(group.link)
    await group.link.fence(1)
    assert not await hears(broker, group, "_")
