"""The channel to a foreign server that is a process: one JSON-RPC message a line, on its pipes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from longreach.tasks import TaskSet
from longreach_bridge.foreign.channel import Arrived, Lost, Outgoing
from longreach_bridge.foreign.process import GuardedProcess
from longreach_bridge.foreign.words import Words

_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""What a child gets of our environment without being told to: nothing that may be secret."""

_GRACE_S = 2.0
_CHUNK = 65_536
_MAX_MESSAGE = 64 * 1024 * 1024
_MAX_UNREAD = 16 * 1024 * 1024
_DRAIN_TIMEOUT_S = 30.0
_LAST_WORDS_S = 0.5


def child_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: a few harmless variables of ours, and `given`."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(given)


class StdioChannel:
    """A process, from its start to its end.

    Args:
        name: for logs.
        command: the program and its arguments.
        environment: variables for it, beside the harmless ones; their values are kept out of our log.
        folder: where it runs.
        grace_s: what it may take to end by itself.
    """

    knows_origin = False
    mirrors_headers = False

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        grace_s: float = _GRACE_S,
    ) -> None:
        self._process = GuardedProcess(command, child_environment(environment), folder=folder)
        self._words = Words(name, environment.values(), time.monotonic)
        self._tasks = TaskSet(f"stdio {name}")
        self._grace_s = grace_s
        self._buffer = bytearray()
        self._searched = 0
        self._lost: Lost | None = None
        self._explained = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    async def open(self) -> None:
        """Start the process.

        Raises:
            Lost: it cannot be started.
        """
        await self._process.start()
        self._listening = self._tasks.spawn(self._words.listen(self._process.stderr), name="stderr")

    async def send(self, message: Outgoing) -> None:
        """Write one line; waits while the child does not read.

        Raises:
            Lost: the process is gone, or has not read for very long.
        """
        writer = self._process.stdin
        if self._lost is not None or writer.is_closing():
            raise await self._why("its input is closed", sent=False)
        unread = writer.transport.get_write_buffer_size()
        if unread + len(message.data) > _MAX_UNREAD and unread > 0:
            raise Lost(f"it has not read {unread} bytes that were sent before")
        writer.write(message.data + b"\n")
        try:
            async with asyncio.timeout(_DRAIN_TIMEOUT_S):
                await writer.drain()
        except TimeoutError:
            raise Lost("it does not read what it is sent", sent=True) from None
        except OSError as error:
            raise await self._why(f"its input broke: {error}", sent=True) from None

    async def receive(self) -> Arrived:
        """The next line; what is no message of JSON objects is for the reader to refuse.

        Raises:
            Lost: the process has ended, and how.
        """
        while True:
            line = self._take_line()
            if line is not None:
                if line.strip():
                    return Arrived(line)
                continue
            chunk = await self._process.stdout.read(_CHUNK)
            if not chunk:
                self._lost = Lost("it has ended")  # from now on nothing is sent, while it is found out why
                raise await self._gone()
            self._buffer += chunk
            if len(self._buffer) > _MAX_MESSAGE:
                raise Lost(f"it sent a message of more than {_MAX_MESSAGE} bytes", sent=True)

    async def close(self) -> None:
        """Let the process end, or end it."""
        await self._tasks.close()
        await self._process.stop(self._grace_s)

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    async def _gone(self) -> Lost:
        """Its output has ended: say why, with the last thing that it said."""
        try:
            async with asyncio.timeout(self._grace_s):
                lost = await self._process.ended()
        except TimeoutError:
            lost = Lost("it has closed its output")
        if self._listening is not None:
            await asyncio.wait({self._listening}, timeout=_LAST_WORDS_S)
        last = f"; the last it said: {self._words.last}" if self._words.last else ""
        self._lost = Lost(f"{lost}{last}", sent=True, hopeless=lost.hopeless)
        self._explained.set()
        return self._lost

    async def _why(self, seen: str, *, sent: bool) -> Lost:
        """Say why nothing can be sent: mostly the process has ended, and the reader is about to know how."""
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._explained.wait()
        except TimeoutError:
            pass
        if self._lost is None:
            return Lost(seen, sent=sent)
        return Lost(str(self._lost), sent=sent, hopeless=self._lost.hopeless)
