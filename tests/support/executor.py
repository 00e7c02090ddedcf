"""The default executor as a user's own blocking work leaves it: full."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager


@asynccontextmanager
async def full_default_executor() -> AsyncIterator[ThreadPoolExecutor]:
    """Fill the default executor, of two threads, with work that ends when the block is left."""
    go, begun = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        begun.release()
        go.wait(60)

    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(2)
    loop.set_default_executor(executor)
    jobs = [executor.submit(work) for _ in range(8)]
    try:
        begun.acquire()
        begun.acquire()
        yield executor
        assert not any(job.done() for job in jobs)
    finally:
        go.set()
        executor.shutdown()
