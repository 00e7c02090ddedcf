"""nats-py's TCP transport, which knows that it has become TLS."""

from __future__ import annotations

from typing import Any
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport

from longreach.threads import open_connection

_LINE_BYTES = 64 * 1024
"""At least one INFO."""


class QuietTcpTransport(TcpTransport):
    """Over TLS an end of the stream closes the connection: nothing can stay half open.

    asyncio's stream protocol asks to keep it half open all the same where TLS began later, and each such
    connection would end with a warning in the log.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    async def open(self, where: ParseResult) -> None:
        """Connect; the time limit is the caller's."""
        reader, writer = await open_connection(where.hostname, where.port, limit=_LINE_BYTES)
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = writer

    async def connect_tls(self, *args: Any, **options: Any) -> None:
        """Begin TLS."""
        await super().connect_tls(*args, **options)
        assert self._io_writer is not None, "connected"
        protocol: Any = self._io_writer.transport.get_protocol()
        received = protocol.eof_received

        def eof_received() -> bool:
            received()
            return False

        protocol.eof_received = eof_received
