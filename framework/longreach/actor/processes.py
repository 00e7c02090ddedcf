"""Processes for handlers declared with ``process=True``.

Each call has a process for itself while it runs; a cancel kills that process, and no other. Processes are
used again, and end with the node, even when the node is killed -9.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Literal

from longreach.errors import ToolError

_PARENT_POLL_S = 0.5
_PR_SET_PDEATHSIG = 1
_watching = threading.Event()

Outcome = tuple[Literal["value", "tool_error", "error"], Any]
"""How a function ended in the child; an exception travels as text, because not each one can be pickled."""


class ProcessDied(Exception):
    """The process of a handler died, and nobody asked it to."""


class HandlerFailed(Exception):
    """The handler raised in its process; the text is the traceback there."""


class ProcessSlots:
    """Processes for one actor: `concurrency` at once."""

    def __init__(self, concurrency: int) -> None:
        import anyio  # here: a tenth of what a node imports, and few servers need it

        self._limiter = anyio.CapacityLimiter(concurrency)

    async def run(self, function: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
        """Run a module-level function in a process; a cancel kills it.

        Raises:
            ToolError: the function raised one.
            HandlerFailed: it raised something else.
            ProcessDied: its process died.
        """
        import anyio.to_process

        try:
            how, what = await anyio.to_process.run_sync(
                run_in_child,
                os.getpid(),
                function.__module__,
                function.__qualname__,
                kwargs,
                cancellable=True,
                limiter=self._limiter,
            )
        except anyio.BrokenWorkerProcess as error:
            raise ProcessDied(f"the process that ran {function.__qualname__} died") from error
        if how == "tool_error":
            raise ToolError(what)
        if how == "error":
            raise HandlerFailed(what)
        return what


def run_in_child(parent: int, module: str, name: str, kwargs: dict[str, Any]) -> Outcome:
    """In the child: run the function; the process ends when `parent` is gone."""
    if not _watching.is_set():
        _watching.set()
        _die_with_parent(parent)
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    try:
        return "value", getattr(importlib.import_module(module), name)(**kwargs)
    except ToolError as error:
        return "tool_error", str(error)
    except Exception:  # noqa: BLE001 - it is logged by the node
        return "error", traceback.format_exc()


def _die_with_parent(parent: int) -> None:
    """On Linux the kernel kills us with the node, even while the function holds the interpreter."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was faster
        os._exit(1)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)
