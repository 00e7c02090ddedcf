"""A transport that sends a response's head together with what follows it.

uvicorn writes head and body apart, which is two system calls, and often two packets. They cost a gateway
more than anything else that it does for a call. The head of a stream goes out at once: what follows it may
take its time.
"""

from __future__ import annotations

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "
_WHOLE = b"\r\ncontent-length: "


class JoiningTransport(asyncio.Transport):
    """A transport over `inner`: the head of a response with a length waits for the next write."""

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self._inner = inner
        self._write = inner.write
        self._head = b""
        self.is_closing = inner.is_closing  # type: ignore[method-assign] # one look-up less for each response

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`, behind what waits for it."""
        if self._head:
            self._write(self._head + data)
            self._head = b""
        elif type(data) is bytes and data.startswith(_HEAD) and _WHOLE in data:
            self._head = data
        elif data:
            self._write(data)

    def flush(self) -> None:
        """Send what waits: nothing follows it."""
        if self._head:
            self._write(self._head)
            self._head = b""

    def close(self) -> None:
        """Send what waits, and close."""
        self.flush()
        self._inner.close()

    def abort(self) -> None:
        """Close at once."""
        self._inner.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As `inner` has it."""
        return self._inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """As `inner` does it."""
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        """As `inner` does it."""
        self._inner.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As `inner` does it."""
        self._inner.set_protocol(protocol)
