"""Say on the node's log which handler held the event loop, and for how long.

A computation in an `async def` stops everything else of its node: callers of all its tools are told "outcome
unknown" after seconds of silence. The loop cannot notice that itself while it is held, so a thread asks it
twice a second whether it comes round, and looks at the stack of the loop's thread when it does not.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType

from longreach.observe import event

_log = logging.getLogger("longreach.node.held")
HELD_S = 1.0
"""A hold of this length is told; callers ask after 0.5 s of silence and give up after 5 s."""
_EVERY_S = 0.5
_RUNS_A_CALL = "ActorCell._run"


class HeldLoop:
    """Watches the running event loop from a thread.

    Args:
        held_s: how long the loop may be held before that is told, in seconds.
        every_s: how often the loop is asked, in seconds.
        now: tells the time, in monotonic seconds.
    """

    def __init__(
        self, held_s: float = HELD_S, every_s: float = _EVERY_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._held_s = held_s
        self._every_s = every_s
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._came_round = threading.Event()
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="held loop", daemon=True)

    def open(self) -> None:
        """Watch from now on."""
        self._watcher.start()

    def close(self) -> None:
        """Watch no more; the thread ends by itself."""
        self._closed.set()
        self._came_round.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._every_s):
            self._came_round.clear()
            asked = self._now()
            try:
                self._loop.call_soon_threadsafe(self._came_round.set)
            except RuntimeError:  # the loop is closed
                return
            if self._came_round.wait(self._held_s) or self._came_round.wait(self._held_s / 10):
                continue  # the second look is for a process that was stopped as a whole, and goes on
            frame = sys._current_frames().get(self._thread)
            handler, place = ("unknown", "unknown") if frame is None else _whose(frame)
            stack = "" if frame is None else "".join(traceback.format_stack(frame))
            del frame  # it would keep what the handler holds
            event(
                _log, "loop.held", logging.WARNING, handler=handler, at=place,
                so_far_s=round(self._now() - asked, 2),
                advice="use a plain def, which runs in a thread, or process=True",
            )  # fmt: skip
            _log.debug("loop.held_stack\n%s", stack)
            self._came_round.wait()
            if not self._closed.is_set():
                held_s = round(self._now() - asked, 2)
                event(_log, "loop.released", logging.WARNING, handler=handler, held_s=held_s)


def _whose(frame: FrameType) -> tuple[str, str]:
    """Return which handler a stack runs, or "none", and the file and line that run in it."""
    at = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    found: FrameType | None = frame
    while found is not None:
        if found.f_code.co_qualname == _RUNS_A_CALL:
            call = found.f_locals.get("call")
            return getattr(getattr(call, "spec", None), "id", "unknown"), at
        found = found.f_back
    return "none", at
