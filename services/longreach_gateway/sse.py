"""A response as server-sent events: what comes before the answer, comments while it is quiet, the answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from longreach.observe import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.tasks import TaskSet
    from longreach_gateway.answers import Send

_log = logging.getLogger("longreach.gateway.sse")
MAX_WAITING = 256
MAX_WAITING_BYTES = 2**20
"""Notifications that wait for a client that reads slowly; beyond either the oldest are dropped."""
STALLED_AFTER_S = 30.0
"""A client that takes nothing for so long is given up."""
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_COMMENT = b":\r\n\r\n"


def encode_event(data: bytes) -> bytes:
    """One message as an event; a JSON text of several lines is several lines of data."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"event: message\ndata: " + data + b"\n\n"


class EventStream:
    """The events of one response, in order.

    Args:
        send: of the ASGI server; it waits while the client does not read.
        tasks: for what is sent while somebody else waits for the answer.
        on_stall: called once when the client has taken nothing for too long.
    """

    def __init__(self, send: Send, tasks: TaskSet, on_stall: Callable[[], None]) -> None:
        self._send = send
        self._tasks = tasks
        self._on_stall = on_stall
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lock = asyncio.Lock()
        self._flushing = False
        self._started = False
        self._ended = False
        self._dropped = 0

    def put(self, data: bytes) -> None:
        """Send a message soon; does not wait."""
        if self._ended:
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        while len(self._waiting) > 1 and self._is_over():
            self._waiting_bytes -= len(self._waiting.popleft())
            self._dropped += 1
        if not self._flushing:
            self._flushing = True
            self._tasks.start(self._flush(), name="events")

    async def write(self, data: bytes) -> None:
        """Send a message, and wait until the client has room for the next one."""
        await self._bounded(encode_event(data))

    async def comment(self) -> None:
        """Show that the stream lives; nothing, where something is being sent anyway."""
        if not self._lock.locked():
            await self._bounded(_COMMENT)

    async def finish(self, data: bytes | None) -> None:
        """Send what waits, then `data` as the last message, and end the stream."""
        if self._dropped:
            event(_log, "notifications.dropped", logging.WARNING, count=self._dropped)
        await self._bounded(b"" if data is None else encode_event(data), last=True)

    def _is_over(self) -> bool:
        return len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES

    async def _flush(self) -> None:
        try:
            await self._bounded(b"")
        finally:
            self._flushing = False

    async def _bounded(self, chunk: bytes, *, last: bool = False) -> None:
        try:
            async with asyncio.timeout(STALLED_AFTER_S), self._lock:
                await self._write(chunk, last)
        except TimeoutError:
            self._ended = True
            self._on_stall()

    async def _write(self, chunk: bytes, last: bool) -> None:
        if self._ended:
            return
        if not self._started:
            self._started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        while self._waiting:
            data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            await self._send({"type": "http.response.body", "body": encode_event(data), "more_body": True})
        if last:
            self._ended = True
        if chunk or last:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": not last})
