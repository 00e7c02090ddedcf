"""What a child made by `fork` must not inherit.

A tool may use `multiprocessing`, whose children on Linux are forks of the node: they have the node's
signal handlers, and the descriptor by which the event loop hears of signals, which is the *same* socket. So
a SIGTERM for the child (`Pool.terminate`) drained the node, and the child itself, whose loop does not run,
passed over it. `hear` is how longreach listens to signals; in a child each of those signals does what it
does in any Python program.
"""

from __future__ import annotations

import os
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable

_heard: set[int] = set()


def hear(loop: AbstractEventLoop, number: int, callback: Callable[..., object], *args: object) -> None:
    """Call `callback` in `loop` for each signal `number` of this process, not of its forks."""
    loop.add_signal_handler(number, callback, *args)
    _heard.add(number)


def _forget_in_child() -> None:
    """Only signals that were heard by `hear` are touched: those of a program around us are its own."""
    if not _heard:
        return
    try:
        signal.set_wakeup_fd(-1)
        for number in _heard:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    except ValueError:  # a subinterpreter, which hears of no signals
        return
    _heard.clear()


os.register_at_fork(after_in_child=_forget_in_child)
