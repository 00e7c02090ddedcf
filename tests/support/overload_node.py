"""A server whose capacity is known, for `longreach run tests.support.overload_node:narrow`."""

from __future__ import annotations

import asyncio
import time

from longreach import Server

SERVICE_S = 0.02
CONCURRENCY = 2
CAPACITY_PER_S = CONCURRENCY / SERVICE_S

narrow = Server("narrow", version="1.0.0")


@narrow.tool(read_only=True, concurrency=CONCURRENCY)
async def wait() -> str:
    """Takes 20 ms, and no CPU."""
    await asyncio.sleep(SERVICE_S)
    return "done"


@narrow.tool(read_only=True, concurrency=CONCURRENCY)
def block() -> str:
    """Takes 20 ms of a thread."""
    time.sleep(SERVICE_S)
    return "done"
