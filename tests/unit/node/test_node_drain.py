"""A node that drains says good-bye after its last call, not before (M8.3)."""

from __future__ import annotations

import asyncio

import msgspec

from longreach import Mesh, Node, Server, connect
from longreach.transport.link import Headers
from longreach.transport.memory import MemoryBroker


async def has_left(mesh: Mesh, node: str) -> bool:
    async with asyncio.timeout(30):
        info = await mesh.ops(node, "info")
    assert info["inFlight"] == 1
    return info["state"] == "draining"


async def test_down_is_announced_after_the_last_call_has_been_answered() -> None:
    broker, heard = MemoryBroker(), []
    begun, release = asyncio.Event(), asyncio.Event()
    server = Server("docs")

    @server.tool
    async def slow() -> str:
        begun.set()
        await release.wait()
        return "done"

    def hear(subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        if ".adv." in subject:
            heard.append(msgspec.json.decode(data)["state"])
        elif ".rep." in subject and b'"done"' in data:
            heard.append("answered")

    broker.link().subscribe("lr.v1.>", hear)
    node = Node(server, link=broker.link())
    await node.start()
    async with connect(link=broker.link()) as mesh:
        call = asyncio.get_running_loop().create_task(mesh.call("docs.slow", idempotent=False))
        await begun.wait()
        drain = asyncio.get_running_loop().create_task(node.drain())
        while not await has_left(mesh, node.name):
            pass
        assert "down" not in heard
        release.set()
        result = await call
        await drain
    assert result.text == "done"
    assert result.attempts == 1
    assert heard.index("answered") < heard.index("down")
