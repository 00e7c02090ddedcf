"""What a child says on its standard error, into our log: bounded, and without what is secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from longreach.observe import event

_log = logging.getLogger("longreach.bridge.stderr")
_MAX_LINE = 2_000
_BURST = 200
_PER_S = 20.0
_SHORTEST_SECRET = 6
_CHUNK = 8_192


class Words:
    """Logs lines, at most `_PER_S` a second in the long run; the rest is counted.

    Args:
        name: whose they are.
        secrets: are replaced by stars where they occur.
        now: monotonic seconds.
    """

    def __init__(self, name: str, secrets: Iterable[str], now: Callable[[], float]) -> None:
        self._name = name
        self._secrets = sorted(
            {each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True
        )
        self._now = now
        self._allowance = float(_BURST)
        self._at = now()
        self._dropped = 0
        self.last = ""

    async def listen(self, stream: asyncio.StreamReader) -> None:
        """Log what comes, until it ends."""
        rest = b""
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.take(line)
            if len(rest) > _MAX_LINE:
                self.take(rest)
                rest = b""
        if rest:
            self.take(rest)

    def take(self, line: bytes) -> None:
        """Log one line."""
        text = line.decode(errors="replace").strip()
        if not text:
            return
        for secret in self._secrets:
            text = text.replace(secret, "***")
        self.last = text = text[:_MAX_LINE]
        now = self._now()
        self._allowance = min(_BURST, self._allowance + (now - self._at) * _PER_S)
        self._at = now
        if self._allowance < 1:
            self._dropped += 1
            return
        self._allowance -= 1
        if self._dropped:
            event(_log, "foreign.said_more", logging.WARNING, server=self._name, lines_dropped=self._dropped)
            self._dropped = 0
        event(_log, "foreign.said", server=self._name, line=text)
