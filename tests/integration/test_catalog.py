"""Discovery at size: 1,000 tools on 3 servers with 2 replicas each. binding.md M8.4, M8.5."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import msgspec
import pytest
from tests.support.broker import Broker

from longreach import NatsOptions, Node, NodeSettings, Server, connect
from longreach.client.inbox import Inbox
from longreach.wire import frames


def make(name: str, tools: int) -> Server:
    server = Server(name, version="1.0.0")
    for number in range(tools):

        async def handler(document: str, pages: int = 1, language: str = "en") -> str:
            """Extract the text of a document, page by page, and say what it is about in a few words.

            Args:
                document: where the document is, as a URL that this node can reach.
                pages: how many pages to read, from the first one on.
                language: the language of the document, as a two-letter code.
            """
            return f"{document} {pages} {language}"

        about = f"Tool {number} of {name}: " + (handler.__doc__ or "").splitlines()[0]
        server.add_tool(handler, name=f"tool_{number:04}", read_only=True, description=about)
    return server


async def until(condition: object, timeout_s: float = 10) -> None:
    assert callable(condition)
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_each_digest_is_fetched_once_and_a_changed_tool_costs_only_itself(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"alpha": 334, "beta": 333, "gamma": 333}
    servers = [make(name, count) for name, count in sizes.items() for _ in range(2)]
    async with AsyncExitStack() as stack:
        settings = NodeSettings(connection=NatsOptions(urls=(broker.url,)))
        for server in servers:
            await stack.enter_async_context(Node(server, settings=settings))
        received = messages = 0
        served: Counter[str] = Counter()
        take, pack = Inbox._take, frames.pack_blobs

        def packed(
            blobs: Mapping[str, bytes],
            wanted: Sequence[str],
            max_bytes: int,
            parts_of: Mapping[str, int] | None = None,
        ) -> tuple[bytes, list[str]]:
            nonlocal messages
            messages += 1
            reply, sent = pack(blobs, wanted, max_bytes, parts_of)
            served.update(sent)
            return reply, sent

        monkeypatch.setattr(frames, "pack_blobs", packed)

        def count(
            inbox: Inbox, subject: str, reply: str, data: bytes, headers: dict[str, str] | None
        ) -> None:
            nonlocal received
            received += len(data)
            take(inbox, subject, reply, data, headers)

        monkeypatch.setattr(Inbox, "_take", count)
        mesh = await stack.enter_async_context(connect(broker.url))
        link = mesh._session.link
        tools = await mesh.tools()
        assert len(tools) == 1000
        one_listing = len(msgspec.json.encode([tool.tool for tool in tools]))
        assert len(served) == 1003
        assert set(served.values()) == {1}
        asked = 25 * 1003  # what the questions cost: a digest each
        ratio = (received + asked) / one_listing
        print(f"\ncatalog: {ratio:.3f} of one listing, {messages} messages, {link.rtt_s:.4f}s rtt")
        assert ratio <= 1.2

        before = served.total()

        async def changed(document: str) -> str:
            """Quite another tool."""
            return document

        for server in servers[:2]:
            server.remove_tool("tool_0007")
            server.add_tool(changed, name="tool_0007")
        await until(
            lambda: (
                [e.definition.description for e in mesh.catalog.list_tools("alpha") if e.name == "tool_0007"]
                == ["Quite another tool."]
            )
        )
        after = served.total()
        assert after - before == 2, after - before  # the manifest of its server, and that tool
        result = await mesh.call("alpha.tool_0007", {"document": "d"})
        assert result.text == "d"
