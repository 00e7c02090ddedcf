"""uvicorn's HTTP protocol, with bounds on what comes before a request is whole.

uvicorn bounds neither the size of a head nor the time that it takes to come: a client that sends a header
every minute keeps a connection for ever. Here a head has a size, and `Sweep` closes connections that were
seen waiting for one all the time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from longreach_gateway.joining import JoiningTransport

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_HEAD_BYTES = 65_536
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waits_for_head = True
        self.sweeps = 0
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """A client is there."""
        self._joining = JoiningTransport(transport)
        super().connection_made(self._joining)

    def on_response_complete(self) -> None:
        """A response is whole, though it may be nothing but a head."""
        self._joining.flush()
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        """Count what comes until a head is whole."""
        if self.waits_for_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.waits_for_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything; uvicorn's own keeps a timer, and all that hangs on it, after a reset."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self.waits_for_head = False
        self._head_bytes = self.sweeps = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next that comes is a head."""
        self.waits_for_head = True
        super().on_message_complete()


def sweep(connections: Iterable[BoundedProtocol], after: int) -> int:
    """Close connections that were seen without a request for `after` sweeps; how many there were.

    They send no head, or the rest of a body that nobody wants, and take their time. One that rests between
    two requests is not among them: uvicorn's own keep-alive time bounds that.
    """
    closed = 0
    for connection in tuple(connections):
        if connection.transport.is_closing():  # its last bytes wait for a client that does not read
            connection.sweeps += 1
            if connection.sweeps > after:
                connection.transport.abort()
            continue
        cycle: Any = connection.cycle  # None before the first request, whatever its annotation says
        rests = connection.timeout_keep_alive_task is not None
        if rests or (cycle is not None and not cycle.response_complete):
            connection.sweeps = 0
            continue
        connection.sweeps += 1
        if connection.sweeps > after:
            connection.transport.close()
            closed += 1
    return closed
