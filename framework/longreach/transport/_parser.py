"""What the broker sends, taken apart: messages at once and in order, other lines one by one.

Synchronous and without a regular expression per message, because every message of a link comes through here
(docs/adr/0002). The result does not depend on how the bytes were split.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from longreach.transport.link import Headers

MAX_LINE_BYTES = 64 * 1024
"""A protocol line that is longer is none: INFO is the longest there is, and far below."""
_CRLF = b"\r\n"
_NO_RESPONDERS = b"NATS/1.0 503"
_STATUS_AT = len(b"NATS/1.0 ")

OnMessage = Callable[[int, bytes, bytes, bytes, "bytes | None"], None]
"""Called with subscription id, subject, reply, body, and the header block if there is one."""


class ProtocolViolation(ValueError):
    """The broker sent what is no NATS protocol."""


class Parser:
    """Takes bytes in, and calls back.

    Args:
        on_message: gets each message.
        on_line: gets each line that is no message, without its line end.
        now: tells the time, in seconds, for `until`.

    Attributes:
        until: after the first message at this time or later `feed` stops, and `feed(b"")` goes on.
        is_behind: whether it stopped so.
    """

    def __init__(
        self,
        on_message: OnMessage,
        on_line: Callable[[bytes], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.until = float("inf")
        self.is_behind = False
        self._on_message = on_message
        self._on_line = on_line
        self._now = now
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._needed = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes, as far as `until` lets it.

        Raises:
            ProtocolViolation: they are no NATS protocol.
        """
        if self._kept:
            self._kept.append(data)
            self._kept_bytes += len(data)
            if self._kept_bytes < self._needed:  # the rest of a large message is on its way
                return
            data = b"".join(self._kept)
            self._kept.clear()
        at = self._take(data)
        if at < len(data):
            rest = data[at:] if at else data
            self._kept.append(rest)
            self._kept_bytes = len(rest)

    def _take(self, data: bytes) -> int:
        """Take what is complete; where the rest begins. `_needed` is how long that must become."""
        at, end = 0, len(data)
        find, on_message = data.find, self._on_message
        now, until = self._now, self.until
        self._needed = 0
        self.is_behind = False
        while at < end:
            line_end = find(_CRLF, at)
            if line_end < 0:
                if end - at > MAX_LINE_BYTES:
                    raise ProtocolViolation("a line without an end")
                return at
            if not (data.startswith(b"MSG ", at) or data.startswith(b"HMSG ", at)):
                self._on_line(data[at:line_end])
                at = line_end + 2
                continue
            # By spaces alone, as the broker writes them: it lets other white space into subjects.
            words = data[at:line_end].split(b" ")
            try:
                size = int(words[-1])
                has_headers = words[0] == b"HMSG"
                sid = int(words[2])
                reply = words[3] if len(words) == (6 if has_headers else 5) else b""
                head = int(words[-2]) if has_headers else 0
            except (ValueError, IndexError):
                raise ProtocolViolation(f"no message: {data[at:line_end][:60]!r}") from None
            body = line_end + 2
            after = body + size
            if after + 2 > end:
                self._needed = after + 2 - at
                return at
            if size < 0 or head > size or data[after : after + 2] != _CRLF:
                raise ProtocolViolation(f"a message of another length: {data[at:line_end][:60]!r}")
            if has_headers:
                on_message(sid, words[1], reply, data[body + head : after], data[body : body + head])
            else:
                on_message(sid, words[1], reply, data[body:after], None)
            at = after + 2
            if now() >= until:
                self.is_behind = at < end
                return at
        return at


def parse_headers(block: bytes) -> Headers | None:
    """The headers of a message; the broker's own status is under ``Status``. None if there are none."""
    if block.startswith(_NO_RESPONDERS):
        return {"Status": "503"}
    first, *lines = block.split(_CRLF)
    headers: Headers = {}
    status = first[_STATUS_AT : _STATUS_AT + 3]
    if status.isdigit():
        headers["Status"] = status.decode()
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.strip().decode("ascii", "replace")] = value.strip().decode("utf-8", "replace")
    return headers or None
