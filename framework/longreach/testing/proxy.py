"""A TCP proxy in user space: the link between two processes, to be cut, delayed, slowed and made lossy.

What passes is a stream of bytes each way. A chunk that was read is handed on when it is due: after the delay
that was set, after the time that its size takes, and not while the link is cut. Little is held here (64
chunks each way of a connection); what is more waits in the kernels of the two ends, as with a real link.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Callable
from typing import Literal, Self
from urllib.parse import urlsplit

from longreach.tasks import TaskSet
from longreach.testing.ports import HOST, free_port

Direction = Literal["up", "down"]
"""``up``: from who connects to the target; ``down``: from the target to who connected."""
Tap = Callable[[Direction, bytes], None]
"""Told every chunk that comes through, from within the event loop."""

_CHUNK_BYTES = 64 * 1024
_CHUNKS = 64
_LOST_AGAIN_S = 0.2
_LOST_LONGEST_S = 6.4
_CONNECT_TIMEOUT_S = 5.0
_SCHEMES = {"": 4222, "nats": 4222, "tls": 4222, "nats-leaf": 7422, "ws": 80, "wss": 443, "http": 80}
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """A port that leads to a target, through a link whose faults are set here.

    Faults hold for connections that are open and for those to come, until `heal`. `direction` is ``"up"``
    (towards the target), ``"down"``, or None for both.

    Args:
        target: ``host:port`` or a URL; nobody has to listen there yet.
        port: where the proxy listens; None: some free port.
        tap: told everything that comes through.
    """

    def __init__(self, target: str, *, port: int | None = None, tap: Tap | None = None) -> None:
        parts = urlsplit(target if "://" in target else f"//{target}")
        if not parts.hostname:
            raise ValueError(f"a proxy's target is host:port or a URL, not {target!r}")
        self._host = parts.hostname
        self._port = parts.port or _SCHEMES.get(parts.scheme, 4222)
        self._scheme = parts.scheme
        self._user = parts.netloc.rpartition("@")[0]
        self.port = port or free_port()
        self._tap = tap
        self._server: asyncio.Server | None = None
        self._tasks = TaskSet("proxy")
        self._ways: dict[Direction, _Way] = {"up": _Way(), "down": _Way()}
        self._refusing = False
        self._connections: set[_Connection] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """The target's URL, by way of this proxy."""
        user = f"{self._user}@" if self._user else ""
        scheme = f"{self._scheme}://" if self._scheme else ""
        return f"{scheme}{user}{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def open(self) -> None:
        """Begin to listen."""
        self._tasks = TaskSet("proxy")
        self._refusing = False
        self._server = await asyncio.start_server(self._take, HOST, self.port)

    async def close(self) -> None:
        """Stop listening, and end every connection."""
        self._refusing = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.reset()
        await self._tasks.close()

    # Faults

    def cut(self, direction: Direction | None = None, *, closing: bool = False) -> None:
        """Let nothing through.

        Args:
            direction: which way; the other way stays open.
            closing: reset what is open and refuse what comes, as when a process ends. Without it nobody is
                told anything, as when a cable is cut: what is sent waits, and comes through after `heal`.
        """
        if closing:
            self._refusing = True
            for connection in tuple(self._connections):
                connection.reset()
            return
        for way in self._chosen(direction):
            way.open.clear()

    def delay(self, seconds: float, direction: Direction | None = None) -> None:
        """Let every byte take `seconds` longer, each way that is meant."""
        for way in self._chosen(direction):
            way.delay_s = seconds

    def drop(self, share: float, direction: Direction | None = None) -> None:
        """Lose that share of what is sent, from 0 to 1; it is sent again, as TCP does, 200 ms later and more.

        TCP hides a loss and shows a pause, which all that comes behind waits for; so does this.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a share is from 0 to 1, not {share}")
        for way in self._chosen(direction):
            way.lost = share

    def slow(self, bytes_per_s: float, direction: Direction | None = None) -> None:
        """Let no more through than that, in bytes per second and way."""
        if not bytes_per_s > 0:
            raise ValueError("slow takes more than 0 bytes per second; to let nothing through, cut")
        for way in self._chosen(direction):
            way.bytes_per_s = bytes_per_s

    def heal(self) -> None:
        """End all faults; what was held comes through."""
        self._refusing = False
        for way in self._ways.values():
            way.heal()

    def _chosen(self, direction: Direction | None) -> list[_Way]:
        return list(self._ways.values()) if direction is None else [self._ways[direction]]

    # Connections

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; `start_server` runs this in a task of its own."""
        if self._refusing:
            _reset(writer)
            return
        self._tasks.start(self._serve(reader, writer), name="proxy connection")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError):
            _reset(writer)
            return
        connection = _Connection(writer, far_writer)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass("up", reader, far_writer, connection))
                group.create_task(self._pass("down", far_reader, writer, connection))
        finally:
            connection.reset()
            self._connections.discard(connection)

    async def _pass(
        self,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: _Connection,
    ) -> None:
        """Hand on what comes one way, until it ends; a reset ends both ways."""
        way = self._ways[direction]
        chunks: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(_CHUNKS)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read(reader, chunks, way))
            try:
                while True:
                    due, data = await chunks.get()
                    await way.until(due, len(data or b""))
                    if self._tap is not None and data:
                        self._tap(direction, data)
                    if not await _write(writer, data):
                        break
            finally:
                reading.cancel()
        if data is None or writer.is_closing():
            connection.reset()


class _Way:
    """One direction of the link, and its faults."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.delay_s = 0.0
        self.lost = 0.0
        self.bytes_per_s: float | None = None
        self.heal()

    def heal(self) -> None:
        self.delay_s = self.lost = 0.0
        self.bytes_per_s = None
        self.open.set()

    async def until(self, due: float, size: int) -> None:
        """Wait until a chunk may go on."""
        loop = asyncio.get_running_loop()
        if (wait_s := due - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        if self.bytes_per_s is not None:
            await asyncio.sleep(size / self.bytes_per_s)
        again_s = _LOST_AGAIN_S
        while self.lost and random.random() < self.lost:  # noqa: S311 - chance, no secret
            await asyncio.sleep(again_s)
            again_s = min(2 * again_s, _LOST_LONGEST_S)
        await self.open.wait()


class _Connection:
    """The two sockets of one connection."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers

    def reset(self) -> None:
        """End it at once, both ways."""
        for writer in self._writers:
            _reset(writer)


async def _read(
    reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes | None]], way: _Way
) -> None:
    """Read until the end: what is read may go on when its delay is over. Empty: the end; None: a reset."""
    loop = asyncio.get_running_loop()
    data: bytes | None = b"?"
    while data:
        try:
            data = await reader.read(_CHUNK_BYTES)
        except OSError:
            data = None
        await chunks.put((loop.time() + way.delay_s, data))


async def _write(writer: asyncio.StreamWriter, data: bytes | None) -> bool:
    """Hand a chunk on; whether more may follow."""
    if data is None:
        return False
    try:
        if data:
            writer.write(data)
            await writer.drain()
        elif writer.can_write_eof():
            writer.write_eof()
    except (OSError, RuntimeError):  # who reads there has gone
        writer.transport.abort()
        return False
    return bool(data)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: neither kernel delivers what is still on its way."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
