"""Notifications of one call on their way to its client: in order, bounded, and before the answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.wire import jsonrpc

_log = logging.getLogger("longreach.gateway.legacy")
_PROGRESS = "notifications/progress"

Send = Callable[[str, Mapping[str, Any] | None], Awaitable[None]]
"""Takes the method and params of one notification."""


def read_notification(data: bytes) -> tuple[str, dict[str, Any] | None] | None:
    """Method and params of a notification; None if it is none that a client could read."""
    try:
        message = jsonrpc.decode_notification(data)
        params = msgspec.json.decode(message.params)
    except (jsonrpc.Malformed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return message.method, params if isinstance(params, dict) else None


class Notes:
    """What a call says before its answer.

    Args:
        send: passes one on; may wait for the client.
        tasks: owns the task that sends, which is there only once something is to be sent.
        most: how many may wait. One more, and the oldest is dropped: news of progress supersede each other.
    """

    def __init__(self, send: Send, tasks: TaskSet, most: int) -> None:
        self._send = send
        self._tasks = tasks
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._most = most
        self._pump: asyncio.Task[None] | None = None
        self._round = 0
        self._reached = float("-inf")
        self._dropped = 0

    def put(self, data: bytes) -> None:
        """Send `data` after what was put before; never waits."""
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append((self._round, data))
        if self._pump is None:
            self._pump = self._tasks.spawn(self._run(), name="notes")

    def next_round(self) -> None:
        """The call begins again: its progress is passed on only where it gets further than before."""
        self._round += 1

    async def flush(self, timeout_s: float) -> None:
        """Wait until all is sent, at most `timeout_s`; what is left then is dropped."""
        try:
            if self._pump is not None:
                _ = await asyncio.wait((self._pump,), timeout=timeout_s)
        finally:
            self.stop()

    def stop(self) -> None:
        """Send no more."""
        if self._pump is not None:
            self._pump.cancel()
        self._dropped += len(self._waiting)
        self._waiting.clear()
        if self._dropped:
            event(_log, "notes.dropped", logging.WARNING, count=self._dropped)
            self._dropped = 0

    async def _run(self) -> None:
        while self._waiting:
            number, data = self._waiting.popleft()
            message = read_notification(data)
            if message is not None and self._gets_on(number, *message):
                await self._send(*message)
        self._pump = None

    def _gets_on(self, number: int, method: str, params: Mapping[str, Any] | None) -> bool:
        """Progress must grow, and a call that runs again begins at its first step."""
        progress = params.get("progress") if method == _PROGRESS and params is not None else None
        if not isinstance(progress, int | float):
            return True
        if number and progress <= self._reached:
            return False
        self._reached = max(self._reached, progress)
        return True
