"""Who is told of something, each in its own event loop, whichever thread it happens in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Listeners:
    """Functions that are called when something happens.

    One that was added in an event loop is called in it: at once if it happens there, soon if it happens in
    a thread, and not at all once the loop is closed.
    """

    def __init__(self) -> None:
        self._listeners: list[tuple[Callable[..., None], asyncio.AbstractEventLoop | None]] = []

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Callable[..., None]) -> Callable[[], None]:
        """Call `listener` from now on; returns what ends that."""
        entry = (listener, _running_loop())
        self._listeners.append(entry)
        return lambda: self._listeners.remove(entry)

    def tell(self, *args: Any) -> None:
        """Call all of them."""
        here = _running_loop()
        for listener, loop in tuple(self._listeners):
            if loop is None or loop is here:
                listener(*args)
            elif not loop.is_closed():
                _ = loop.call_soon_threadsafe(listener, *args)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
