"""Processes for handlers declared with ``process=True``.

Each call has a process for itself while it runs; a cancel kills that process, and no other. Processes are
used again, and end with the node, even when the node is killed -9.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TextIO

from longreach.actor.crashes import HandlerCrashed, is_crash
from longreach.errors import ToolError
from longreach.observe import safe_text
from longreach.threads import NoRoom

_PARENT_POLL_S = 0.5
_PR_SET_PDEATHSIG = 1
_watching = threading.Event()

Outcome = tuple[Literal["value", "tool_error", "error", "crash"], Any]
"""How a function ended in the child: a pickled value, or a text, for not every exception can be pickled."""


class ProcessDied(HandlerCrashed):
    """The process of a handler died, and nobody asked it to."""


class HandlerFailed(Exception):
    """The handler raised in its process; the text is the traceback there."""


class ProcessSlots:
    """Processes for one actor: `concurrency` at once."""

    def __init__(self, concurrency: int) -> None:
        import anyio  # here: a tenth of what a node imports, and few servers need it
        import anyio.to_process

        # The library makes a pipe of standard error and reads it never: 64 KiB of it, and the function hangs.
        anyio.to_process.open_process = _open_process  # type: ignore[attr-defined]
        self._limiter = anyio.CapacityLimiter(concurrency)

    async def run(self, function: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
        """Run a module-level function in a process; a cancel kills it.

        Raises:
            ToolError: the function raised one.
            HandlerFailed: it raised something else.
            HandlerCrashed: it raised what is a crash; the process lives.
            ProcessDied: its process died.
            NoRoom: the system gives no process; the function does not begin.
        """
        import anyio.to_process

        # Both ways as bytes: what fails while it is read must fail in `run_in_child`, or here, and not in
        # the library between them, which then takes a process for idle that is about to end.
        arguments = pickle.dumps(kwargs, pickle.HIGHEST_PROTOCOL)
        try:
            how, what = await anyio.to_process.run_sync(
                run_in_child,
                os.getpid(),
                function.__module__,
                function.__qualname__,
                arguments,
                cancellable=True,
                limiter=self._limiter,
            )
        except anyio.BrokenWorkerProcess as error:
            raise ProcessDied(f"the process that ran {function.__qualname__} died") from error
        except OSError as error:  # of what is not `BrokenWorkerProcess`, only the start of a process
            raise NoRoom(f"the system gives no process: {error}") from error
        match how:
            case "tool_error":
                raise ToolError(what)
            case "error":
                raise HandlerFailed(what)
            case "crash":
                raise HandlerCrashed(what)
            case _:
                return pickle.loads(what)  # noqa: S301 - of our own child


async def _open_process(command: Any, **options: Any) -> Any:
    """Start a process whose standard error is the node's."""
    import anyio

    return await anyio.open_process(command, **{**options, "stderr": None})


def run_in_child(parent: int, module: str, name: str, arguments: bytes) -> Outcome:
    """In the child: run the function; the process ends when `parent` is gone. Nothing is raised."""
    try:
        if not _watching.is_set():
            _watching.set()
            _die_with_parent(parent)
            _keep_protocol_apart()
            threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
        function = getattr(importlib.import_module(module), name)
        value = function(**pickle.loads(arguments))  # noqa: S301 - of our own parent
        if inspect.isawaitable(value):  # a plain function around a coroutine function, such as a wrapper
            value = asyncio.run(_awaited(value))
        return "value", pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except ToolError as error:
        return "tool_error", safe_text(error)
    except BaseException as error:  # noqa: BLE001 - it is logged by the node
        return ("crash" if is_crash(error) else "error"), traceback.format_exc()


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


def _keep_protocol_apart() -> None:
    """Move the library's protocol away from descriptors 0 and 1, which belong to the function from now on.

    What a function starts inherits 0 and 1: `subprocess.run(["echo", "x"])` wrote into the middle of an
    answer, and what read its input waited for the node. So 0 is /dev/null now, 1 goes to standard error. The
    library holds the two streams as objects; a raw file can be given another descriptor in place, and closes
    none, because Python opens the standard streams so.
    """
    asked, answers = sys.__stdin__, sys.__stdout__
    assert asked is not None and answers is not None, "the library talks to its process by these"  # noqa: PT018
    # Unbuffered (-u), so the output is the raw file itself; the input has a buffer before it.
    _move(getattr(asked.buffer, "raw", asked.buffer), os.dup(0), "rb")
    _move(getattr(answers.buffer, "raw", answers.buffer), os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stdout, sys.stderr = _text_to(1), _text_to(2)


def _move(file: Any, descriptor: int, mode: str) -> None:
    io.FileIO.__init__(file, descriptor, mode, closefd=False)


def _text_to(descriptor: int) -> TextIO:
    return open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)


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
