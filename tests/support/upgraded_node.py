"""A server of a version of one's choice: UPGRADE_VERSION; and how often it fails: UPGRADE_ERRORS, 0 to 1."""

from __future__ import annotations

import asyncio
import os
import random

from tests.support.chaos_node import effect

from longreach import Server, ToolError

VERSION = os.environ.get("UPGRADE_VERSION", "1.0.0")
ERRORS = float(os.environ.get("UPGRADE_ERRORS", "0"))
chaos = Server("chaos", version=VERSION)


@chaos.tool(read_only=True)
async def look(seconds: float, ident: str) -> str:
    """Only looks."""
    await asyncio.sleep(seconds)
    if random.random() < ERRORS:
        raise ToolError(f"version {VERSION} fails")
    return f"{VERSION} {ident}"


@chaos.tool
async def change(seconds: float, ident: str) -> str:
    """Changes something: must never run twice."""
    effect(ident)
    await asyncio.sleep(seconds)
    return f"{VERSION} {ident}"
