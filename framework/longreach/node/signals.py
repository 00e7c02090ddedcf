"""The signals that end a node's process: the first drains it, the second stops it at once.

The event loop hears of a signal only when it comes round. A handler that holds the loop (a long computation
in an `async def`) must not keep the process alive against a second signal, so that one is also watched from a
thread: where the loop does not come round any more, the process ends there and then.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from longreach import forks

NUMBERS = (signal.SIGTERM, signal.SIGINT)
HELD_S = 2.0
"""A loop that has not come round for so long after the second signal is held."""
EXIT_CODE = 1


class Signals:
    """Hears SIGTERM and SIGINT, in the main thread.

    Args:
        on_signal: told the number of each signal, in the event loop.
        held_s: how long after the second signal the loop may take to come round.
        leave: ends the process; takes the exit code.
    """

    def __init__(
        self,
        on_signal: Callable[[int], None],
        held_s: float = HELD_S,
        leave: Callable[[int], None] = os._exit,
    ) -> None:
        self._on_signal = on_signal
        self._held_s = held_s
        self._leave = leave
        self._loop = asyncio.get_running_loop()
        self._came_round = threading.Event()
        self._closed = threading.Event()
        self._count = 0
        self._watch: threading.Thread | None = None

    def open(self) -> None:
        """Hear signals from now on."""
        for number in NUMBERS:
            forks.hear(self._loop, number, self._on_signal, number)
            # The loop's own handler does nothing: it reads signals from a file descriptor. Ours is called as
            # soon as the main thread runs Python code, be it a handler's that never returns to the loop.
            signal.signal(number, self._heard)
            signal.siginterrupt(number, False)

    def close(self) -> None:
        """Hear them no more."""
        self._closed.set()
        self._came_round.set()
        for number in NUMBERS:
            self._loop.remove_signal_handler(number)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 1 and self._watch is None:
            self._watch = threading.Thread(target=self._see_it_end, name="second signal", daemon=True)
            self._watch.start()

    def _see_it_end(self) -> None:
        """Ask the loop again and again whether it still comes round; leave when it does not."""
        while not self._closed.is_set():
            self._came_round.clear()
            try:
                self._loop.call_soon_threadsafe(self._came_round.set)
            except RuntimeError:  # the loop is closed
                return
            if not self._came_round.wait(self._held_s) and not self._closed.is_set():
                self._leave(EXIT_CODE)
                return
            self._closed.wait(self._held_s / 4)
