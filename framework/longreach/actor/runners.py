"""How a handler runs: in the event loop, in a thread, in a process of its own.

The one difference that matters is what a cancel can do: it stops an async handler, kills a process, and can
only abandon a thread, which then keeps its slot until it has really ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_process
import anyio.to_thread

_PARENT_POLL_S = 0.5
_watching = threading.Event()


class ProcessDied(Exception):
    """The process of a handler died, and nobody asked it to."""


class ThreadSlots:
    """Threads for one actor: `concurrency` at once, abandoned ones included."""

    def __init__(self, concurrency: int) -> None:
        self._limiter = anyio.CapacityLimiter(concurrency + 1)
        self._limiter.total_tokens = float("inf")  # slots are counted by the cell, until the thread ends

    async def run(
        self, function: Callable[..., Any], kwargs: dict[str, Any], on_end: Callable[[], None]
    ) -> Any:
        """Run in a thread; `on_end` is called in the event loop when it has really ended."""
        loop = asyncio.get_running_loop()

        def work() -> Any:
            try:
                return function(**kwargs)
            finally:
                with contextlib.suppress(RuntimeError):  # the loop has ended before the thread
                    loop.call_soon_threadsafe(on_end)

        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)


class ProcessSlots:
    """Processes for one actor: `concurrency` at once; a cancel kills the one that runs the call."""

    def __init__(self, concurrency: int) -> None:
        self._limiter = anyio.CapacityLimiter(concurrency)

    async def run(self, function: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
        """Run in a process.

        Raises:
            ProcessDied: it died.
        """
        try:
            return await anyio.to_process.run_sync(
                run_in_child,
                os.getpid(),
                function.__module__,
                function.__qualname__,
                kwargs,
                cancellable=True,
                limiter=self._limiter,
            )
        except anyio.BrokenWorkerProcess as error:
            raise ProcessDied(str(error)) from error


def run_in_child(parent: int, module: str, name: str, kwargs: dict[str, Any]) -> Any:
    """In the child: run the function; the process ends when its parent is gone, even killed -9."""
    if not _watching.is_set():
        _watching.set()
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    return getattr(importlib.import_module(module), name)(**kwargs)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)
