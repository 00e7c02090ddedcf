"""NATS over WebSocket, for networks that let nothing else through: frames around the same bytes.

The frames are those of `websockets`, in its form without I/O; the socket is ours as under TCP, so that a link
can bound what waits in it, reset it, and see it end (docs/adr/0031).
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

from nats.aio.transport import TcpTransport
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from longreach.threads import open_connection

_READ_BYTES = 64 * 1024
_MAX_MESSAGE_BYTES = 128 * 1024 * 1024
"""Above what brokers put into one frame: their largest message is half of it."""
_MAX_LINE_BYTES = 64 * 1024
_DATA = (Opcode.BINARY, Opcode.CONT)


class WebSocketTransport(TcpTransport):
    """A connection to the WebSocket listener of a broker; used like nats-py's own over TCP.

    Args:
        url: ``ws://`` or ``wss://``; credentials in it are for NATS, and do not travel with the request.
    """

    def __init__(self, url: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._parts = urlsplit(url)
        bare = self._parts._replace(netloc=self._parts.netloc.rpartition("@")[2])
        self._protocol = ClientProtocol(parse_uri(bare.geturl()), max_size=_MAX_MESSAGE_BYTES)
        self._unread = bytearray()

    async def open(self, context: ssl.SSLContext | None, tls_name: str | None) -> None:
        """Connect, and upgrade to WebSocket.

        Raises:
            OSError: nobody listens there, or what listens is no WebSocket.
        """
        secure: dict[str, Any] = {}
        if self._parts.scheme == "wss":
            secure = {"ssl": context, "server_hostname": tls_name or self._parts.hostname}
        reader, writer = await open_connection(self._parts.hostname, self._parts.port, **secure)
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = writer
        self._protocol.send_request(self._protocol.connect())
        self._send()
        while self._protocol.state is State.CONNECTING:
            if not await self._more() or self._protocol.handshake_exc is not None:
                raise ConnectionError(f"no WebSocket: {self._protocol.handshake_exc}")

    async def connect_tls(self, *_: object, **__: object) -> None:
        """Nothing: ``wss://`` is TLS from its first byte, though the broker's INFO asks for TLS again."""

    def write(self, payload: bytes) -> None:
        """Write `payload` as one frame."""
        self._protocol.send_binary(payload)
        self._send()

    def writelines(self, payload: list[bytes]) -> None:
        """Write what is in `payload` as one frame."""
        self.write(b"".join(payload))

    async def read(self, buffer_size: int) -> bytes:
        """What came in, however much that is; nothing at the end."""
        while not self._unread:
            if not await self._more():
                return b""
        data = bytes(self._unread)
        self._unread.clear()
        return data

    async def readline(self) -> bytes:
        """One line of the handshake, with its end; less at the end of everything."""
        while (end := self._unread.find(b"\n") + 1) == 0 and len(self._unread) < _MAX_LINE_BYTES:
            if not await self._more():
                end = len(self._unread)
                break
        line = bytes(self._unread[:end])
        del self._unread[:end]
        return line

    def close(self) -> None:
        """Say goodbye, and close."""
        try:
            self._protocol.send_close(1000)
            self._send()
        except WebSocketException:
            pass  # the broker said it first
        super().close()  # type: ignore[no-untyped-call]

    async def _more(self) -> bool:
        """Take frames in; False at the end."""
        if not await self._receive():
            return False
        for event in self._protocol.events_received():
            if isinstance(event, Frame):  # else the response to the upgrade, with the first frame behind it
                if event.opcode in _DATA:
                    self._unread += event.data
                elif event.opcode is Opcode.CLOSE:
                    return bool(self._unread)
        return True

    async def _receive(self) -> bool:
        assert self._io_reader is not None, "connected"
        data = await self._io_reader.read(_READ_BYTES)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._send()  # an answer to a ping or a close
        return bool(data)

    def _send(self) -> None:
        assert self._io_writer is not None, "connected"
        for data in self._protocol.data_to_send():
            if data:  # nothing means: half-close, which is left to `close`
                self._io_writer.write(data)
