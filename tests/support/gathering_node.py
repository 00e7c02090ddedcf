"""A server for bursts: `longreach run tests.support.gathering_node:burst`.

`hold` waits until everybody may go, so that the results of a whole burst are due in one turn of the loop.
`burn` holds the loop, one call after the other. CHAOS_EFFECTS names the file that counts runs.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.chaos_node import effect
from tests.support.turns import watch_turns

from longreach import Server


@asynccontextmanager
async def _watched(_: Server) -> AsyncIterator[None]:
    with watch_turns(os.environ.get("CHAOS_EFFECTS", os.devnull)):
        yield


burst = Server("burst", version="1.0.0", lifespan=_watched)
_gathered: dict[str, tuple[list[str], asyncio.Event]] = {}


@burst.tool(concurrency=1000)
async def hold(ident: str, group: str, size: int, bytes_each: int, seconds: float = 0.0) -> str:
    """Return `bytes_each` characters at the very moment at which the others of `group` do.

    Args:
        ident: counted as a run, and the end of the text.
        group: which burst it belongs to.
        size: how many calls of it this node will get at the most.
        bytes_each: of the result.
        seconds: for how long to wait for the others at the most.
    """
    effect(ident)
    idents, go = _gathered.setdefault(group, ([], asyncio.Event()))
    idents.append(ident)
    if len(idents) == size:
        go.set()
    try:
        async with asyncio.timeout(seconds or None):
            await go.wait()
    except TimeoutError:
        go.set()
    _gathered.pop(group, None)
    return "x" * (bytes_each - len(ident)) + ident


@burst.tool(concurrency=1)
async def burn(ident: str, seconds: float) -> str:
    """Hold the loop for so many seconds of processor time."""
    effect(ident)
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return ident
