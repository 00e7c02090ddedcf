"""Standard input and output as lines: bounded, and never in the event loop's way.

Both are files of any kind (pipes, terminals, plain files), so a thread of our own reads and another one
writes. While they are held, descriptor 0 is empty and descriptor 1 is standard error: what anybody prints
cannot get between the messages.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_PENDING_BYTES = 32 * 1024 * 1024
"""Of output that the host has not read. Notifications beyond that are dropped, responses wait."""
_CHUNK = 64 * 1024
_CHUNKS_AHEAD = 4


def take_standard_streams() -> tuple[int, int]:
    """Descriptors of standard input and output that nobody else has."""
    taken = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return taken


class TooLong:
    """Stands for a line that was longer than allowed, and was skipped."""


class Input:
    """Lines that come in.

    Args:
        descriptor: what is read.
        max_line: bytes of one line; a longer one is skipped, and told of by a `TooLong`.
    """

    def __init__(self, descriptor: int, max_line: int = MAX_LINE_BYTES) -> None:
        self._descriptor = descriptor
        self._max_line = max_line
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(_CHUNKS_AHEAD)
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    async def lines(self) -> AsyncIterator[bytes | TooLong]:
        """Line after line, without their ends and without empty ones, until the input ends."""
        held = bytearray()
        skipping = False
        while chunk := await self._chunks.get():
            *ended, rest = chunk.split(b"\n")
            for part in ended:
                held += part
                if skipping or len(held) > self._max_line:
                    yield TooLong()
                elif line := bytes(held).strip():
                    yield line
                held.clear()
                skipping = False
            if not skipping:
                held += rest
            if len(held) > self._max_line:
                held.clear()
                skipping = True
        if line := bytes(held).strip():
            yield line

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._descriptor, _CHUNK)
            except OSError:
                chunk = b""
            try:
                asyncio.run_coroutine_threadsafe(self._chunks.put(chunk), self._loop).result()
            except Exception:  # noqa: BLE001 - the loop has ended: nobody reads any more
                return
            if not chunk:
                return


class Output:
    """Lines that go out, in order.

    Args:
        descriptor: where to.
        on_gone: called once if nobody reads them any more.
        max_pending: bytes that may wait.
    """

    def __init__(
        self, descriptor: int, on_gone: Callable[[], None], max_pending: int = MAX_PENDING_BYTES
    ) -> None:
        self._descriptor = descriptor
        self._on_gone = on_gone
        self._max_pending = max_pending
        self._loop = asyncio.get_running_loop()
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._pending = 0
        self._room = asyncio.Event()
        self._room.set()
        self._written = asyncio.Event()
        self.dropped = 0
        threading.Thread(target=self._write, name="stdout", daemon=True).start()

    def put(self, message: bytes) -> None:
        """Write a message that may be dropped: where the host does not read, it is."""
        if self._room.is_set():
            self._push(message)
        else:
            self.dropped += 1

    async def write(self, message: bytes) -> None:
        """Write a message; waits while too much is pending."""
        await self._room.wait()
        self._push(message)

    async def close(self, timeout_s: float) -> None:
        """Wait until all is written, at most `timeout_s`."""
        self._lines.put(None)
        try:
            async with asyncio.timeout(timeout_s):
                await self._written.wait()
        except TimeoutError:
            return

    def _push(self, message: bytes) -> None:
        if (
            b"\n" in message or b"\r" in message
        ):  # white space between JSON's tokens: inside a text it is escaped
            message = message.replace(b"\n", b" ").replace(b"\r", b" ")
        self._pending += len(message)
        if self._pending > self._max_pending:
            self._room.clear()
        self._lines.put(message + b"\n")

    def _wrote(self, size: int) -> None:
        self._pending -= size
        if self._pending <= self._max_pending:
            self._room.set()

    def _write(self) -> None:
        gone = False
        while (line := self._lines.get()) is not None:
            try:
                if not gone:
                    _write_all(self._descriptor, line)
            except OSError:
                gone = True
                self._tell(self._on_gone)
            self._tell(self._wrote, len(line) - 1)
        self._tell(self._written.set)

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            return  # the loop has ended


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
