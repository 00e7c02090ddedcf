"""Who is told when something happens: each listener by itself, in its own event loop.

What one listener raises is logged, and keeps nothing from the others, nor from whoever tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, ParamSpec

_log = logging.getLogger("longreach.listeners")

P = ParamSpec("P")


class Listeners(Generic[P]):
    """Functions that are called when something happens.

    One that was added in an event loop is called in it: at once if `tell` is called there, soon if that is in
    a thread, and not at all once the loop is closed.

    Args:
        what: what they are told of, for the log.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._entries: dict[object, tuple[Callable[P, object], asyncio.AbstractEventLoop | None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, listener: Callable[P, object]) -> Callable[[], None]:
        """Call `listener` from now on. Return what ends that; to call it again does nothing."""
        key = object()  # the same listener may be added twice
        self._entries[key] = (listener, _running_loop())

        def stop() -> None:
            self._entries.pop(key, None)

        return stop

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call all of them, in the order in which they were added."""
        here = _running_loop()
        for listener, loop in tuple(self._entries.values()):
            if loop is None or loop is here:
                guard(self._what, listener, *args, **kwargs)
            elif not loop.is_closed():
                with contextlib.suppress(RuntimeError):  # it was closed just now
                    loop.call_soon_threadsafe(partial(guard, self._what, listener, *args, **kwargs))


def guard(what: str, function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    """Call `function`; log what it raises as an event that names `what` it was told of."""
    try:
        function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - a listener's failure is its own
        _log.error("listener.failed", extra={"event_fields": {"told": what}}, exc_info=error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
