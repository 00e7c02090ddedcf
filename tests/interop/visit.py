"""What every official client does at the guestbook, and what must come of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from mcp.client.subscriptions import ResourceUpdated, Subscription, ToolsListChanged

NOTE = "note://today"
TIMEOUT_S = 15.0

EXPECTED: dict[str, Any] = {
    "tools": ["change", "count", "greet", "state_of", "wait"],
    "progress": [1, 2, 3],
    "counted": "counted to 3",
    "cancelled": "cancelled",
    "greeting": "Hello, Ada!",
    "note": "Buy milk.",
    "changes": ["note://today", "tools"],
}
"""The same for each client and each way; visit.mjs does the same in JavaScript."""

OnProgress = Callable[[float, float | None, str | None], Awaitable[None]]


class Guest(Protocol):
    """One client library, one way to the mesh."""

    async def tools(self) -> list[str]: ...
    async def call(self, name: str, arguments: dict[str, Any], on_progress: OnProgress | None) -> str: ...
    async def read(self, uri: str) -> str: ...
    def listen(self, uri: str) -> AbstractAsyncContextManager[Subscription]: ...


async def visit(guest: Guest) -> dict[str, Any]:
    """List, call with progress, cancel, answer an elicitation, read, listen for a change."""
    async with asyncio.timeout(TIMEOUT_S):
        progress: list[float] = []

        async def on_progress(done: float, total: float | None, message: str | None) -> None:
            progress.append(done)

        return {
            "tools": sorted(name for name in await guest.tools() if not name.startswith("new_")),
            "counted": await guest.call("count", {"upto": 3}, on_progress),
            "progress": progress,
            "cancelled": await _cancel(guest),
            "greeting": await guest.call("greet", {}, None),
            "note": await guest.read(NOTE),
            "changes": await _changes(guest),
        }


async def _cancel(guest: Guest) -> str:
    """Cancel a call that waits; what the server says of it then."""
    key = secrets.token_hex(8)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(guest.call("wait", {"key": key}, None))
        await _until(guest, key, "waiting")
        waiting.cancel()
    return await _until(guest, key, "cancelled")


async def _until(guest: Guest, key: str, state: str) -> str:
    while (found := await guest.call("state_of", {"key": key}, None)) != state:
        await asyncio.sleep(0.05)
    return found


async def _changes(guest: Guest) -> list[str]:
    """What is heard of one change of a resource and of the tools."""
    heard: set[str] = set()
    async with guest.listen(NOTE) as events:
        await guest.call("change", {}, None)
        async for event in events:
            if isinstance(event, ResourceUpdated):
                heard.add(str(event.uri))
            elif isinstance(event, ToolsListChanged):
                heard.add("tools")
            if len(heard) == 2:
                break
    return sorted(heard)
