"""What a node tells of changes. docs/binding.md 13."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.support.asker import Asker
from tests.support.declared import ask
from tests.support.hosts import node
from tests.support.links import Inbox, eventually
from tests.support.oracle import agree, models

from longreach import Context, Server
from longreach.node.events import MAX_UNTOLD, Events
from longreach.transport.memory import MemoryBroker

URI = "docs://Ein Text"
HASH = hashlib.blake2b(URI.encode(), digest_size=16).hexdigest()
UPDATED = f"lr.v1.default.local.evt.docs.updated.{HASH}"


@pytest.fixture
async def heard(broker: MemoryBroker) -> Inbox:
    inbox = Inbox()
    broker.link().subscribe("lr.v1.default.local.evt.>", inbox)
    return inbox


def subjects(heard: Inbox) -> list[str]:
    return [subject.removeprefix("lr.v1.default.local.evt.") for subject, *_ in heard.messages]


async def text() -> str:
    return "x"


@pytest.mark.parametrize(
    ("change", "kind", "model"),
    [
        (lambda s: s.add_tool(text), "tools", models.ToolListChangedNotification),
        (lambda s: s.remove_tool("first"), "tools", models.ToolListChangedNotification),
        (lambda s: s.add_prompt(text), "prompts", models.PromptListChangedNotification),
        (lambda s: s.add_resource("a://b", text), "resources", models.ResourceListChangedNotification),
        (
            lambda s: s.add_raw("template", {"uriTemplate": "a://{b}", "name": "b"}, text),
            "resources",
            models.ResourceListChangedNotification,
        ),
    ],
)
async def test_a_list_that_changed_is_told_once_after_the_new_announcement(
    broker: MemoryBroker, heard: Inbox, change: Callable[[Server], Any], kind: str, model: Any
):
    """M13.1, M13.2"""
    server = Server("docs")
    server.add_tool(text, name="first")
    announced = Inbox()
    async with node(broker, server) as host:
        before = host.digests["docs"]
        broker.link().subscribe("lr.v1.default.local.>", announced)
        change(server)
        await heard.wait(1)
        assert host.digests["docs"] != before
        assert [subject.split(".")[4] for subject, *_ in announced.messages] == ["adv", "evt"]
    assert subjects(heard) == [f"docs.{kind}"]
    agree(heard.bodies[0], model)


async def test_changes_in_a_row_are_told_together(broker: MemoryBroker, heard: Inbox):
    server = Server("docs")
    async with node(broker, server):
        for number in range(5):
            server.add_tool(text, name=f"t{number}")
        server.add_prompt(text)
        await heard.wait(2)
    assert subjects(heard) == ["docs.tools", "docs.prompts"]


async def test_what_changes_nothing_in_a_list_is_no_event(broker: MemoryBroker, heard: Inbox):
    server = Server("docs")
    server.add_prompt(lambda x: "", name="p")
    async with node(broker, server) as host:
        before = host.digests["docs"]
        server.completion("p", "x")(lambda value: [])
        await eventually(lambda: host.digests["docs"] != before)
    assert subjects(heard) == []


async def test_what_changes_while_the_node_starts_is_announced(broker: MemoryBroker):
    server = Server("docs")
    host = node(broker, server)
    fence = host._fence

    async def late_fence() -> None:
        host._fence = fence
        server.add_tool(text)
        await asyncio.sleep(0.05)  # longer than changes are gathered for
        await fence()

    host._fence = late_fence
    async with host:
        manifest = msgspec.json.decode(host._announcer._blobs[host.digests["docs"]])
        assert len(manifest["tools"]) == 1


async def test_a_resource_that_was_updated_is_told_with_its_uri(
    broker: MemoryBroker, heard: Inbox, asker: Asker
):
    """M13.3"""
    server = Server("docs")

    @server.tool
    async def change(ctx: Context) -> str:
        await ctx.resource_updated(URI)
        return ""

    @server.tool
    def change_in_thread(ctx: Context) -> str:
        ctx.resource_updated(URI)
        return ""

    async with node(broker, server):
        await ask(asker, "tools/call", name="change")
        await ask(asker, "tools/call", call="2-0-f", name="change_in_thread")
        server.notify_resource_updated(URI)
        await heard.wait(3)
    assert [subject for subject, *_ in heard.messages] == [UPDATED] * 3
    updated = agree(heard.bodies[0], models.ResourceUpdatedNotification)
    assert updated.params.uri == URI
    server.notify_resource_updated(URI)  # nobody hosts it any more


async def test_what_happens_while_the_link_is_down_is_told_once_when_it_is_back(
    broker: MemoryBroker, heard: Inbox
):
    """M13.4"""
    server = Server("docs")
    async with node(broker, server) as host:
        link = host._link
        broker.cut(link)
        server.notify_resource_updated(URI)
        server.notify_resource_updated(URI)
        server.add_tool(text)
        await eventually(lambda: len(host._hosted[0].events._untold) == 2)
        broker.restore(link)
        await heard.wait(2)
    assert subjects(heard) == [f"docs.updated.{HASH}", "docs.tools"]


async def test_no_more_than_so_many_wait(broker: MemoryBroker):
    link = broker.link()
    events = Events(link, namespace="default", region="local", server="docs")
    broker.cut(link)
    for number in range(MAX_UNTOLD + 10):
        events.resource_updated(f"a:{number}")
    assert len(events._untold) == MAX_UNTOLD
