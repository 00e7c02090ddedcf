from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.asker import Asker
from tests.support.hosts import Gate, docs, node, settings
from tests.support.links import Inbox, eventually

from longreach import Node, Server
from longreach.errors import ConfigError, NotStarted
from longreach.node.settings import NodeSettings
from longreach.transport.memory import MemoryBroker, MemoryLink, Message
from longreach.wire.digest import digest


def hear(broker: MemoryBroker) -> Inbox:
    inbox = Inbox()
    broker.link().subscribe("lr.v1.*.*.adv.>", inbox)
    return inbox


def said(inbox: Inbox) -> list[dict[str, Any]]:
    return [msgspec.json.decode(body) for body in inbox.bodies]


async def blobs(asker: Asker, host: Node, digests: list[str], call: str) -> list[bytes]:
    asker.send(f"node.n1.{host.instance}._._.blobs", msgspec.json.encode({"digests": digests}), call)
    answer = await asker.answer(call)
    return [msgspec.json.encode(blob) for blob in answer["blobs"]]


async def test_a_life_is_announced_with_a_growing_seq(broker: MemoryBroker, gate: Gate):
    """M8.1: at the start, at a change, as a heartbeat; M8.3: `down` at the end. `seq` grows with each."""
    heard, server = hear(broker), docs(gate)
    async with node(broker, server, Server("more"), announce_every_s=0.02, labels={"gpu": "yes"}):
        await heard.wait(4)
        server.remove_tool("echo")
        digests: set[str] = set()
        await eventually(lambda: digests.update(s["digest"] for s in said(heard)) or len(digests) == 3)
    await heard.wait(6)
    messages = said(heard)
    seqs = [message["seq"] for message in messages]
    assert seqs == sorted(set(seqs))
    assert [message["state"] for message in messages[-2:]] == ["down", "down"]
    assert {message["state"] for message in messages[:-2]} == {"up"}
    assert {message["server"] for message in messages} == {"docs", "more"}
    first = messages[0]
    assert (first["labels"], first["region"], first["binding"]) == ({"gpu": "yes"}, "local", 1)
    assert heard.messages[0][0] == f"lr.v1.default.local.adv.docs.n1.{first['instance']}"


@pytest.mark.parametrize(
    ("labels", "version"), [({"note": "x" * 17_000}, "1.0.0"), ({}, "1.0.0+" + "x" * 17_000)]
)
async def test_a_node_that_callers_would_never_learn_of_does_not_start(
    broker: MemoryBroker, labels: dict[str, str], version: str
):
    """M8.1: an announcement beyond 16 KiB is ignored."""
    heard = hear(broker)
    host = node(broker, Server("docs", version=version), labels=labels)
    with pytest.raises(ConfigError, match=r"'docs' cannot be announced: .* 16,384 at the most"):
        await host.start()
    await host.drain()
    assert heard.bodies == []


async def test_the_digests_are_those_of_the_very_bytes(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M8.4 and M8.5"""
    async with node(broker, docs(gate)) as host:
        manifest_digest = host.digests["docs"]
        (manifest,) = await blobs(asker, host, [manifest_digest], "1-0-f")
        assert digest(manifest) == manifest_digest
        wanted = msgspec.json.decode(manifest)["tools"]
        tools = await blobs(asker, host, wanted, "2-0-f")
        assert [digest(tool) for tool in tools] == wanted


async def test_what_does_not_fit_is_left_for_the_next_question(asker: Asker, broker: MemoryBroker):
    server = Server("docs")
    for number in range(40):

        async def handler() -> str:
            return ""

        server.add_tool(handler, name=f"t{number}", description="x" * 10_000)
    async with node(broker, server) as host:
        (manifest,) = await blobs(asker, host, [host.digests["docs"]], "a-0-f")
        left = msgspec.json.decode(manifest)["tools"]
        rounds = 0
        while left:
            rounds += 1
            got = await blobs(asker, host, left, f"{rounds}-0-f")
            assert got
            left = [name for name in left if name not in {digest(blob) for blob in got}]
        assert 1 < rounds < 5


async def test_what_it_does_not_have_is_missing(broker: MemoryBroker, gate: Gate, asker: Asker):
    async with node(broker, docs(gate)) as host:
        asker.send(f"node.n1.{host.instance}._._.blobs", b'{"digests":["nope","nope"]}')
        assert await asker.answer() == {"blobs": [], "missing": ["nope"]}


async def test_many_changes_in_a_row_are_one_announcement(broker: MemoryBroker, gate: Gate):
    heard, server = hear(broker), docs(gate)
    async with node(broker, server) as host:
        await heard.wait(1)
        before = host.digests["docs"]
        for number in range(20):

            async def handler() -> str:
                return ""

            server.add_tool(handler, name=f"t{number}")
        await eventually(lambda: host.digests["docs"] != before)
        await heard.wait(2)
        assert len(heard.messages) == 2


async def test_a_link_that_came_back_announces_again(broker: MemoryBroker, gate: Gate):
    heard = hear(broker)
    async with node(broker, docs(gate)) as host:
        await heard.wait(1)
        broker.cut(host._link)  # type: ignore[arg-type]
        host._announcer.announce()  # nothing is raised, nothing kept for later
        broker.restore(host._link)  # type: ignore[arg-type]
        await heard.wait(2)
        await asyncio.sleep(0)
        assert len(heard.messages) == 2


async def test_who_is_answered_at_a_rate_of_each_asker_and_what_is_not_is_logged_once(
    broker: MemoryBroker, gate: Gate, asker: Asker, caplog: pytest.LogCaptureFixture
):
    """M8.2: one who asks without end makes no work without end, and keeps nobody else from an answer."""
    other = Asker(broker, connection="other")
    async with node(broker, docs(gate)):
        for number in range(200):
            asker.send("who._._", b"{}", f"{number}-0-f")
        other.send("who._._", b"{}", "last-0-f")
        await other.answer("last-0-f")
        await asker.until(lambda: len(asker.heard) >= 30)
    assert 30 <= len(asker.heard) < 60
    assert [record.getMessage() for record in caplog.records].count("who.limited") == 1


def heard_as(broker: MemoryBroker) -> list[str]:
    """The subjects of the announcements that reach the broker."""
    seen: list[str] = []

    def note(message: Message) -> bool:
        if ".adv." in message.subject:
            seen.append(message.subject)
        return False

    broker.drop(note)
    return seen


def groups(link: MemoryLink) -> set[str]:
    subjects = {each.subject for each in link._subscriptions.values() if each.queue}
    return {subject for subject in subjects if ".n-" not in subject}


async def test_a_node_joins_its_groups_when_the_broker_has_announced_it(broker: MemoryBroker, gate: Gate):
    """M8.1: an announcement that is refused is sent again, before any call is taken."""
    link = broker.link()
    refused, send = [], link.send

    def busy(subject: str, *rest: Any, **more: Any) -> None:
        if ".adv." in subject and len(refused) < 2:
            assert not groups(link)
            refused.append(subject)
            raise NotStarted("busy", reason="busy")
        send(subject, *rest, **more)

    link.send = busy  # type: ignore[method-assign]
    seen = heard_as(broker)
    async with Node(docs(gate), settings=settings(), link=link):
        assert len(refused) == 2
        assert seen
        assert groups(link)


async def test_a_node_whose_link_is_cut_while_it_announces_itself_announces_again_before_it_joins(
    broker: MemoryBroker, gate: Gate
):
    """M8.1"""
    link, seen = broker.link(), heard_as(broker)
    send, cuts = link.send, 0

    def cut(subject: str, *rest: Any, **more: Any) -> None:
        nonlocal cuts
        assert not groups(link)
        send(subject, *rest, **more)
        if not cuts:
            cuts += 1
            broker.cut(link)
            asyncio.get_running_loop().call_later(0.01, broker.restore, link)

    link.send = cut  # type: ignore[method-assign]
    host = Node(docs(gate), settings=settings(), link=link)
    await host.start()
    assert seen
    assert groups(link)
    link.send = send  # type: ignore[method-assign]
    await host.drain()


async def test_a_node_that_may_not_announce_itself_does_not_start(broker: MemoryBroker, gate: Gate):
    """M8.1: nobody would know that it may have a call."""
    link = broker.link(publish=("lr.v1.default.*.rep.>",))
    host = Node(docs(gate), settings=settings(), link=link)
    with pytest.raises(ConfigError, match=r"announce server 'docs': let it publish to .*\.adv\.docs\.n1\.\*"):
        await host.start()
    assert not groups(link)
    await host.drain()


async def test_a_node_that_may_no_longer_announce_itself_leaves_its_groups(broker: MemoryBroker, gate: Gate):
    """M8.1"""
    link = broker.link()
    async with Node(docs(gate), settings=settings(announce_every_s=0.02), link=link) as host:
        link._publish = ("lr.v1.default.*.rep.>",)
        await eventually(lambda: host.state == "stopped")
        assert host.failed is not None
        assert "announce server 'docs'" in host.failed


async def test_a_node_does_not_start_where_the_broker_does_not_carry_its_announcement(gate: Gate):
    """M8.1"""
    link = MemoryBroker(max_payload=4096).link()
    host = Node(docs(gate), settings=settings(labels={"note": "x" * 5000}), link=link)
    with pytest.raises(ConfigError, match=r"carries 4,096 \(max_payload\)"):
        await host.start()
    await host.drain()


async def test_a_label_that_is_not_unicode_is_named(broker: MemoryBroker):
    host = node(broker, Server("docs"), labels={"gpu": "\udc80"})
    with pytest.raises(ConfigError, match=r"label of the node is not valid Unicode: '\\udc80'"):
        await host.start()
    await host.drain()


@pytest.mark.parametrize("setting", ["version", "title", "instructions"])
def test_what_a_server_says_of_itself_is_unicode(setting: str):
    with pytest.raises(ConfigError, match=f"{setting} of server 'docs' is not valid Unicode"):
        Server("docs", **{setting: "1\udc80"})


async def test_who_is_answered_in_as_many_messages_as_it_takes(gate: Gate):
    """M8.2: many servers with long labels."""
    broker = MemoryBroker(max_payload=16 * 1024)
    names = {f"server-{number}" for number in range(20)}
    host = node(broker, *map(Server, names), labels={"note": "x" * 3000})
    asker = Asker(broker)
    async with host:
        asker.send("who._._", b"{}", "1-0-f")
        found: set[str] = set()

        def all_named() -> bool:
            for heard in asker.heard:
                found.update(each["server"] for each in heard.body["announcements"])
            return found == names

        await eventually(all_named)
    assert len(asker.heard) > 1


def test_a_heartbeat_that_callers_do_not_count_on_is_refused() -> None:
    """M8.1"""
    with pytest.raises(ConfigError, match=r"announce_every_s is 13, and can be 12"):
        NodeSettings(announce_every_s=13)
