"""One connection to a broker: nats-py's handshake, our own reading, writing and ending.

nats-py 2.16 does what it does well: URLs, INFO, TLS, NKeys, JWT. Overridden is what a mesh
cannot live with (docs/adr/0002, tests/unit/transport/test_nats_pins.py):

- messages go from a parser of our own to a synchronous sink: no queue, task or object for each;
- everything, PING too, goes through one buffer in order, so that PING and PONG are a true fence;
- a connection ends once, at once, with a reset, and is never used again: nats-py's own ways keep and
  send what should be forgotten, and wait for sockets that never close.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.transport import TcpTransport

from longreach.observe import event
from longreach.transport._listeners import log_failure
from longreach.transport._parser import Parser, parse_headers
from longreach.transport._reset import reset_on_close
from longreach.transport._tcp import QuietTcpTransport
from longreach.transport.link import HIGH_WATER_BYTES, LOW_WATER_BYTES, Sink
from longreach.turns import BUDGET_S

_log = logging.getLogger("longreach.transport")

_CRLF = b"\r\n"
_PING = b"PING\r\n"
_PONG = b"PONG\r\n"
_READ_BYTES = 64 * 1024
_RTT_WEIGHT = 0.2
_COMPLAINT_TIMEOUT_S = 0.05

OnPong = Callable[[BaseException | None], None]
"""Called with None when a ping's pong is there, or with what ended the connection before."""


class NatsClient(Client):
    """A connection that is used once.

    Args:
        sinks: where the messages of each subscription id go; shared with, and filled by, the link.
        on_lost: called once, with the reason, when the connection ends by itself.
        on_error: called with the lower-case text of what the broker complains about and stays.
        on_info: called whenever the broker says something new about itself, `told_urls` or `is_lame`.
        on_room: called after `want_room`, when there is room.
    """

    def __init__(
        self,
        sinks: dict[int, Sink],
        on_lost: Callable[[NatsClient, str], None],
        on_error: Callable[[str], None],
        on_info: Callable[[NatsClient], None],
        on_room: Callable[[NatsClient], None],
    ) -> None:
        super().__init__()
        self.sinks = sinks
        self._on_lost = on_lost
        self._on_error = on_error
        self._on_info = on_info
        self._on_room = on_room
        self._room_wanted = False
        self._room: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._complaint = ""
        self._out: list[bytes] = []
        self._socket_bytes = 0  # in the transport's buffer; may be out of date, then it is too high
        self.unflushed_bytes = 0  # those and what `_out` holds
        self._flush_due = False
        self._held = False
        self._lines: deque[bytes] = deque()
        self._pings: deque[tuple[float, OnPong | None]] = deque()
        self.heard_at = self._loop.time()
        self.rtt_s = 0.0
        self.end_reason = ""
        self.url = ""
        self.shown_url = ""
        self.told_urls: tuple[str, ...] = ()
        self.is_lame = False

    @property
    def ended(self) -> bool:
        """Whether it is over; then it stays so."""
        return self._ended

    @property
    def broker_id(self) -> str:
        """What the broker calls itself, anew for each of its lives."""
        return str(self._server_info.get("server_id", ""))

    @property
    def cluster(self) -> str:
        """The name of its cluster; none without one."""
        return str(self._server_info.get("cluster", ""))

    # Writing

    def write(self, *parts: bytes) -> None:
        """Append to the outgoing buffer; it is written once the event loop comes round."""
        if self._ended:
            return
        self._out += parts
        for part in parts:
            self.unflushed_bytes += len(part)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._write_out)

    def write_message(self, head: bytes, body: bytes) -> None:
        """`write` for the hot path: a message, whose `head` ends with its line end."""
        if self._ended:
            return
        self._out += (head, body, _CRLF)
        self.unflushed_bytes += len(head) + len(body) + 2
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._write_out)

    @property
    def backlog(self) -> int:
        """How many bytes wait for the broker to read them."""
        if self._ended:
            return 0
        self.unflushed_over(-1)
        return self.unflushed_bytes

    def unflushed_over(self, max_bytes: int) -> bool:
        """Whether more than `max_bytes` wait for the broker to read them."""
        if self.unflushed_bytes <= max_bytes:
            return False
        buffered = self._buffered()
        self.unflushed_bytes += buffered - self._socket_bytes
        self._socket_bytes = buffered
        return self.unflushed_bytes > max_bytes

    def _buffered(self) -> int:
        return self._writer().transport.get_write_buffer_size()

    def set_marks(self) -> None:
        """Set the marks of the transport's buffer between which `want_room` waits."""
        self._writer().transport.set_write_buffer_limits(high=HIGH_WATER_BYTES, low=LOW_WATER_BYTES)

    def want_room(self) -> None:
        """Call `on_room` once: when `HIGH_WATER_BYTES` wait at most, or `LOW_WATER_BYTES` after more."""
        self._room_wanted = True
        if not self._flush_due:  # else once that is written
            self._watch_room()

    def _watch_room(self) -> None:
        if self._room is None and not self._ended:
            self._room = self._loop.create_task(self._wait_for_room(), name="link room")

    async def _wait_for_room(self) -> None:
        try:
            await self._writer().drain()
        except (OSError, RuntimeError):
            return  # the connection ends, which is told otherwise
        finally:
            self._room = None
        if self._room_wanted and not self._held and not self._ended:
            self._room_wanted = False
            self._on_room(self)

    def hold(self) -> None:
        """Keep what is written in the outgoing buffer until `release`."""
        self._held = self._flush_due = True

    def release(self) -> None:
        """Write what `hold` kept, and go on as usual."""
        if self._held:
            self._held = False
            self._write_out()

    def _write_out(self) -> None:
        if self._held:
            return
        self._flush_due = False
        if self._room_wanted:
            self._watch_room()
        if self._ended or not self._out:
            return
        data = b"".join(self._out)
        self._out.clear()
        try:
            self._tcp().write(data)
            self._socket_bytes = self.unflushed_bytes = self._buffered()
        except (OSError, RuntimeError) as error:
            self.lose(str(error) or type(error).__name__)

    def ping(self, on_pong: OnPong | None = None) -> None:
        """Write a PING behind everything written so far."""
        if self._ended:
            if on_pong is not None:
                on_pong(ConnectionError("the connection has ended"))
            return
        self._pings.append((time.perf_counter(), on_pong))
        self.write(_PING)

    # Reading

    async def _read_loop(self) -> None:
        transport, parser, now = self._tcp(), Parser(self._message, self._line), time.monotonic
        try:
            while not self._ended:
                data = await transport.read(_READ_BYTES)
                if not data:
                    self.lose("eof")
                    return
                self.heard_at = self._loop.time()
                while True:
                    parser.until = now() + BUDGET_S
                    parser.feed(data)
                    while self._lines:  # what nats-py knows better: INFO and complaints
                        await self._ps.parse(self._lines.popleft() + _CRLF)
                    if not parser.is_behind or self._ended:
                        break
                    await asyncio.sleep(0)  # the rest in a further turn; nothing is read meanwhile
                    self.heard_at = self._loop.time()  # it is we who are slow, not the broker
                    data = b""
        except asyncio.CancelledError:
            raise
        except OSError as error:
            self.lose(error.strerror or str(error) or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - what the parser chokes on ends this connection, not the link
            self.lose(f"protocol: {error!s}")

    def _message(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        sink = self.sinks.get(sid)
        if sink is None or self._ended:
            return
        try:
            sink(subject.decode(), reply.decode(), data, None if headers is None else parse_headers(headers))
        except Exception as error:  # noqa: BLE001 - the sink is code of other floors; the link goes on
            log_failure("sink.failed", error, subject=subject.decode(errors="replace"))

    def _line(self, line: bytes) -> None:
        kind = line[:4].upper()
        if kind == b"PONG":
            self._pong()
        elif kind == b"PING":
            self.write(_PONG)
        elif kind != b"+OK":
            self._lines.append(line)

    def _pong(self) -> None:
        if not self._pings:
            return
        sent_at, on_pong = self._pings.popleft()
        took_s = time.perf_counter() - sent_at
        self.rtt_s += (took_s - self.rtt_s) * (_RTT_WEIGHT if self.rtt_s else 1.0)
        if on_pong is not None:
            on_pong(None)

    async def _process_err(self, text: str) -> None:
        """The broker complains. Where that ends the connection it closes it, and we see the end."""
        self._complaint = text.strip("'")
        self._on_error(self._complaint)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """The broker tells of those beside it, or that it is about to leave; what follows is the link's."""
        if "connect_urls" in info or initial_connection:
            self.told_urls = tuple(info.get("connect_urls") or ())
        self.is_lame = bool(info.get("ldm"))
        if not initial_connection:
            self._on_info(self)

    async def _process_op_err(self, error: Exception) -> None:
        self.lose(str(error) or type(error).__name__)

    # Connecting

    async def _select_next_server(self) -> None:
        """One URL, one attempt: which URL comes next, and when, is the link's decision."""
        server = self._server_pool[0]
        if server.uri.scheme in ("ws", "wss"):
            from longreach.transport._websocket import WebSocketTransport  # here: an extra

            self._transport = WebSocketTransport(server.uri.geturl())
            await self._transport.open(self.options.get("tls"), self.options.get("tls_hostname"))
        else:
            self._transport = QuietTcpTransport()
            await self._transport.open(server.uri)
        self._current_server = server

    async def _ping_interval(self) -> None:
        """The link watches over the connection: nats-py's pings overtake what is buffered."""

    async def _flusher(self) -> None:
        """`_write_out` flushes."""

    async def unread_complaint(self) -> str:
        """What the broker said before it hung up in the middle of the handshake, if that came through.

        It closes right behind its ``-ERR``; our next write may fail before that line is read.
        """
        if not self._transport:
            return ""
        try:
            line = await asyncio.wait_for(self._tcp().readline(), _COMPLAINT_TIMEOUT_S)
        except (OSError, TimeoutError, ValueError, RuntimeError):
            return ""
        return bytes(line).decode(errors="replace").strip()

    # Ending

    def lose(self, reason: str) -> None:
        """End because of `reason`, and say so."""
        if not self._ended:
            reason = self._complaint or reason
            self.abort(reason)
            self._on_lost(self, reason)

    def abort(self, reason: str) -> None:
        """End now: forget what is unsent, reset the socket, fail the pings that wait."""
        if self._ended:
            return
        self._end(reason)
        for writer in self._writers():
            reset_on_close(writer.get_extra_info("socket"))
            writer.transport.abort()

    async def close_gently(self, timeout_s: float) -> None:
        """End with a plain close, once everything written was confirmed; reset if that takes too long."""
        self._end("closed")
        try:
            async with asyncio.timeout(timeout_s):
                self._tcp().close()
                await self._writer().wait_closed()
        except (OSError, TimeoutError) as error:
            event(_log, "link.close_cut_short", logging.DEBUG, reason=str(error) or "timeout")
            for writer in self._writers():
                reset_on_close(writer.get_extra_info("socket"))
                writer.transport.abort()

    def _end(self, reason: str) -> None:
        self._ended = True
        self.end_reason = reason
        self._status = Client.CLOSED
        self._out.clear()
        self.unflushed_bytes = 0
        task: asyncio.Task[None] | None = self._reading_task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        if self._room is not None:
            self._room.cancel()
        waiting, self._pings = self._pings, deque()
        for _, on_pong in waiting:
            if on_pong is not None:
                on_pong(ConnectionError(reason))

    def _tcp(self) -> Any:
        """The transport, whose methods nats-py leaves without types."""
        assert isinstance(self._transport, TcpTransport), "ours for WebSocket is one too"
        return self._transport

    def _writer(self) -> asyncio.StreamWriter:
        writer: asyncio.StreamWriter | None = self._tcp()._io_writer
        assert writer is not None, "connected"
        return writer

    def _writers(self) -> list[asyncio.StreamWriter]:
        """The connection's writers, the innermost first: under TLS there are two."""
        transport = self._transport
        if not isinstance(transport, TcpTransport):  # not connected yet
            return []
        bare, outer = transport._bare_io_writer, transport._io_writer
        return [writer for writer in dict.fromkeys((bare, outer)) if writer is not None]
