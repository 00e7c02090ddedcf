"""The front, and the official SDK over it, with a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from mcp.client.client import Client
from mcp.client.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError
from tests.support.broker import Broker
from tests.support.fronts import request
from tests.support.hosts import Gate
from tests.support.links import eventually
from tests.support.timing import allowed

from longreach import Context, Mesh, NatsOptions, Node, NodeSettings, Server, connect, sdk
from longreach.front import Front
from longreach.transport.natslink import NatsLink
from longreach.wire.frames import Announcement

NOTE = "note://today"


def docs(gate: Gate) -> Server:
    server = Server("docs", version="1.0.0")

    @server.tool
    async def where(ctx: Context) -> str:
        return ctx.node

    @server.tool
    async def change(ctx: Context) -> str:
        ctx.resource_updated(NOTE)
        return ctx.node

    @server.tool(timeout_s=60)
    async def wait() -> None:
        await gate()

    @server.resource(NOTE)
    def note() -> str:
        return "milk"

    return server


def maths() -> Server:
    server = Server("maths", version="1.0.0")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    return server


class Town:
    """Two nodes with `docs`, one of them with `maths` too, and a mesh."""

    def __init__(self, broker: Broker, mesh: Mesh, servers: list[Server], gate: Gate) -> None:
        self.broker = broker
        self.mesh = mesh
        self.docs = servers
        self.gate = gate


@pytest.fixture
async def town(broker: Broker) -> AsyncIterator[Town]:
    settings = NodeSettings(connection=NatsOptions(urls=(broker.url,)))
    async with AsyncExitStack() as stack:
        gate = Gate()
        servers = [docs(gate), docs(gate)]
        await stack.enter_async_context(Node(servers[0], maths(), settings=settings))
        await stack.enter_async_context(Node(servers[1], settings=settings))
        mesh = await stack.enter_async_context(connect(broker.url, timeout_s=10))
        await mesh.refresh()
        yield Town(broker, mesh, servers, gate)


async def ask(front: Front, method: str, **params: Any) -> Any:
    answer = await front.handle(request(method, **params))
    assert answer.code is None, answer.data
    return json.loads(answer.data)["result"]


async def following(stream: AsyncGenerator[bytes, None]) -> dict[str, Any]:
    async with asyncio.timeout(30):
        message: dict[str, Any] = json.loads(await anext(stream))
    return message


async def test_all_servers_are_one(town: Town) -> None:
    front = Front(town.mesh)

    names = [tool["name"] for tool in (await ask(front, "tools/list"))["tools"]]
    total = await ask(front, "tools/call", name="maths__add", arguments={"a": 1, "b": 2})
    nodes = {(await ask(front, "tools/call", name="docs__where"))["content"][0]["text"] for _ in range(40)}
    contents = (await ask(front, "resources/read", uri=f"longreach://docs/{NOTE}"))["contents"]

    assert names == ["docs__change", "docs__wait", "docs__where", "maths__add"]
    assert total["structuredContent"] == {"result": 3}
    assert len(nodes) == 2
    assert [each["uri"] for each in contents] == [f"longreach://docs/{NOTE}"]


async def test_a_server_that_announces_and_never_tells_leaves_the_rest(town: Town) -> None:
    link = await NatsLink.open(NatsOptions(urls=(town.broker.url,)), wait=True, timeout_s=5)
    try:
        said = Announcement(
            server="broken", version="1", digest="x" * 22, region="local", identity="b", instance="1",
            state="up", seq=1, clock_ms=0,
        )  # fmt: skip
        link.subscribe("lr.v1.default.local.node.b.1.>", lambda *_: None)
        link.send("lr.v1.default.local.adv.broken.b.1", msgspec.json.encode(said))
        await eventually(lambda: any(town.mesh.catalog.of_server("broken")))
        front = Front(town.mesh)

        async with asyncio.timeout(allowed(4)):
            listed = await ask(front, "tools/list")
        async with asyncio.timeout(allowed(1)):
            again = await ask(front, "tools/list")
            broken = await front.handle(request("tools/call", name="broken__x"), timeout_s=0.5)

        assert len(listed["tools"]) == len(again["tools"]) == 4
        assert listed["ttlMs"] == 0
        assert broken.code is not None
    finally:
        await link.close()


async def test_a_change_on_any_node_reaches_each_listener_of_each_front_once(town: Town) -> None:
    fronts = [Front(town.mesh), Front(town.mesh, server="docs")]
    streams = [
        front.listen(
            request(
                "subscriptions/listen",
                n,
                notifications={"resourceSubscriptions": [uri], "toolsListChanged": True},
            )
        )
        for front, uri in ((fronts[0], f"longreach://docs/{NOTE}"), (fronts[1], NOTE))
        for n in range(3)
    ]
    for stream in streams:
        assert (await following(stream))["method"] == "notifications/subscriptions/acknowledged"

    for _ in range(2):  # on either node, sooner or later
        await ask(fronts[0], "tools/call", name="docs__change")
        assert {(await following(stream))["method"] for stream in streams} == {
            "notifications/resources/updated"
        }
    for server in town.docs:
        server.add_tool(lambda: None, name="fresh")
    assert {(await following(stream))["method"] for stream in streams} == {"notifications/tools/list_changed"}
    fronts[0].close()
    fronts[1].close()
    for stream in streams:
        assert (await following(stream))["result"]["resultType"] == "complete"
        await stream.aclose()


async def test_the_sdks_client_lives_through_a_restart_of_the_broker(town: Town) -> None:
    """A call that runs meanwhile ends as if nothing had been: node and mesh find each other again."""
    async with (
        asyncio.timeout(60),
        Client(sdk.transport(town.broker.url, server="docs")) as client,
        client.listen(tools_list_changed=True, resource_subscriptions=[NOTE]) as events,
        asyncio.TaskGroup() as group,
    ):
        waiting = group.create_task(client.call_tool("wait", {}))
        await town.gate.begins()

        await asyncio.to_thread(town.broker.restart)

        assert isinstance(await anext(events), ResourceUpdated)  # something may have been missed
        while not await _answers(client):
            await asyncio.sleep(0.05)
        town.gate.release.set()
        assert not (await waiting).is_error


async def _answers(client: Client) -> bool:
    with contextlib.suppress(MCPError):
        await client.call_tool("where", {})
        return True
    return False
