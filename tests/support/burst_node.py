"""A server for tests whose results come all at once: `longreach run tests.support.burst_node:burst`."""

from __future__ import annotations

import asyncio
import time

from longreach import Server

burst = Server("burst", version="1.0.0")


class _Together:
    """Lets calls go on when so many are there, so that their results come in one turn."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    async def meet(self, count: int) -> None:
        here: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(here)
        if len(self.waiting) >= count:
            waiting, self.waiting = self.waiting, []
            for each in waiting:
                if not each.done():
                    each.set_result(None)
        await here


_together = _Together()
_ran = 0


@burst.tool(concurrency=400)
async def give(size: int, count: int, seconds: float = 0.0) -> str:
    """Wait until `count` calls are here, and `seconds` more, and return `size` characters."""
    global _ran
    _ran += 1
    await _together.meet(count)
    await asyncio.sleep(seconds)
    return "x" * size


@burst.tool(concurrency=1)
async def burn(seconds: float = 0.025) -> str:
    """Hold the event loop."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return "burnt"


@burst.tool(read_only=True)
async def ran() -> int:
    """How many calls of `give` began."""
    return _ran
