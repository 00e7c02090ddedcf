from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.asker import Asker
from tests.support.hosts import Gate, docs, node
from tests.support.links import Inbox, eventually

from longreach import Node, Server
from longreach.errors import ConfigError
from longreach.transport.memory import MemoryBroker
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
