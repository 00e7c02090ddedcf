"""A node process for tests: `python -m tests.support.chaos_node URL REGION EFFECTS_FILE`.

Prints "ready NAME" when it serves. Each tool that has an effect appends one line to the file as it begins.
`longreach run tests.support.chaos_node:chaos` does as well; the file is then named by CHAOS_EFFECTS.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from tests.support.turns import watch_turns

from longreach import Actor, Context, Crash, NatsOptions, Node, NodeSettings, Server, tool

EFFECTS = os.environ.get("CHAOS_EFFECTS", os.devnull)
if __name__ == "__main__" and len(sys.argv) > 3:
    EFFECTS = sys.argv[3]


@asynccontextmanager
async def _watched(_: Server) -> AsyncIterator[None]:
    with watch_turns(EFFECTS):
        yield


chaos = Server("chaos", version="1.0.0", lifespan=_watched)


def effect(ident: str) -> None:
    """One line, written at once: seen by whoever counts, whatever becomes of this process."""
    descriptor = os.open(EFFECTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{ident} {time.time_ns()}\n".encode())
    finally:
        os.close(descriptor)


@chaos.tool(read_only=True)
async def look(seconds: float, ident: str) -> str:
    """Only looks."""
    effect(ident)
    await asyncio.sleep(seconds)
    return ident


@chaos.tool
async def change(seconds: float, ident: str) -> str:
    """Changes something: must never run twice."""
    effect(ident)
    await asyncio.sleep(seconds)
    return ident


@chaos.tool(read_only=True)
async def hold_gil(seconds: float) -> str:
    """Blocks the whole process."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "held"


@chaos.tool(read_only=True)
async def where(ctx: Context = Context.injected) -> str:
    """The node."""
    return ctx.node


@chaos.tool(read_only=True)
async def size_of(blob: str) -> int:
    """How much came."""
    return len(blob)


@chaos.tool
async def store(blob: str, ident: str) -> str:
    """Takes a large body."""
    effect(ident)
    return f"{len(blob)} for {ident}"


@chaos.actor
class Fragile(Actor):
    """Crashes on demand."""

    def __init__(self) -> None:
        self.calls = 0

    @tool(read_only=True)
    async def poke(self, crash: bool = False, ctx: Context = Context.injected) -> str:
        """Answers with its node, or crashes."""
        self.calls += 1
        if crash:
            raise Crash("crashed on demand")
        return ctx.node


for number in range(20):

    @chaos.tool(name=f"drained_{number}")
    async def drained(ident: str) -> str:
        """One of 20 tools."""
        effect(ident)
        await asyncio.sleep(0.005)
        return ident


async def main() -> int:
    url, region = sys.argv[1], sys.argv[2]
    settings = NodeSettings(region=region, connection=NatsOptions(urls=(url,)), drain_timeout_s=10)
    node = Node(chaos, settings=settings)

    async def announce() -> None:
        while node.state == "starting":
            await asyncio.sleep(0.005)
        sys.stdout.write(f"ready {node.name}\n")
        sys.stdout.flush()

    async with asyncio.TaskGroup() as group:
        group.create_task(announce())
        code = group.create_task(node.run())
    return code.result()


if __name__ == "__main__":
    logging.basicConfig(level=os.environ.get("LONGREACH_LOG_LEVEL", "ERROR"), stream=sys.stderr)
    sys.exit(uvloop.run(main()))
