"""A node whose tool needs several rounds; its steps leave a line each in a file.

Run as ``python -m tests.support.rounds_node URL REGION FILE``; the keys are in ``FILE.keys``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass

import uvloop

from longreach import Context, NatsOptions, Node, NodeSettings, Server

rounds = Server("rounds", version="1.0.0", state_ttl_s=2.0)


@dataclass
class Payment:
    """What the user fills in."""

    name: str
    seats: int = 1


def effect(what: str) -> str:
    """Leave a line, written at once, after those of all other processes."""
    descriptor = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{what} {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)
    return what


@rounds.tool
async def book(show: str, ctx: Context) -> str:
    """Reserve, ask, pay."""
    effect("run")
    reserved = await ctx.step("reserve", lambda: effect("reserve"))
    answer = await ctx.elicit(f"Who goes to {show}?", Payment, key="who")
    if answer.content is None:
        return f"{answer.action}"
    paid = await ctx.step("pay", lambda: effect("pay"))
    return f"{reserved} {paid} {answer.content.seats} for {answer.content.name} at {ctx.node}"


async def main() -> int:
    url, region, file = sys.argv[1:4]
    connection = NatsOptions(urls=(url,))
    node = Node(
        rounds, settings=NodeSettings(region=region, connection=connection, state_keys_file=f"{file}.keys")
    )

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
    sys.exit(uvloop.run(main()))
