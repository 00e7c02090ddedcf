"""Nodes on a broker in memory, and a server with the tools that tests want."""

from __future__ import annotations

import asyncio
from typing import Any

from longreach import Context, Node, NodeSettings, Server
from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.transport.memory import MemoryBroker


def settings(**changes: Any) -> NodeSettings:
    return NodeSettings(**{"identity": "n1", "drain_timeout_s": 5.0, **changes})


def node(broker: MemoryBroker, *servers: Server, clock: Clock = SYSTEM_CLOCK, **changes: Any) -> Node:
    return Node(*servers, settings=settings(**changes), link=broker.link(), clock=clock)


class Gate:
    """A tool's handler that waits to be released, and says that it has begun."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.release = asyncio.Event()
        self.ran = 0
        self.cancelled = 0

    async def __call__(self) -> None:
        self.ran += 1
        self.begun.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def begins(self) -> None:
        async with asyncio.timeout(30):
            await self.begun.wait()
        self.begun.clear()


def docs(gate: Gate, **options: Any) -> Server:
    """``docs`` 1.4.0: `echo` answers, `wait` waits for the gate, `keep` too and outlives its caller."""
    server = Server("docs", version="1.4.0", **options)

    @server.tool(read_only=True)
    async def echo(text: str = "hi") -> str:
        """Echo."""
        return text

    @server.tool(timeout_s=60)
    async def wait(ctx: Context = Context.injected) -> str:
        ctx.report_progress(1, 2, "half")
        await gate()
        return "waited"

    @server.tool(keep_running=True, timeout_s=60)
    async def keep() -> str:
        await gate()
        return "kept"

    return server
