"""A round-robin balancer that knows nothing of sessions: each request goes to the next gateway.

It answers one request a connection, so that a client cannot stick to a gateway by keeping one open. It
streams both ways, counts, and ends what it has open to a gateway when the client goes.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from pathlib import Path

_NODE = re.compile(rb'"longreach/node":\s*"([^"]+)"')
_LONGEST_HEAD = 64 * 1024
_CHUNK = 64 * 1024
_CONNECT_TIMEOUT_S = 5.0


class Balancer:
    """One listening port, and the gateways behind it.

    Args:
        gateways: their ports, on this machine.
        wire: a file that gets all requests and answers, as they are; None: none does.

    Attributes:
        requests: how many went to each gateway, by its port.
        answers: how many results came from each node, by its name.
    """

    def __init__(self, gateways: list[int], wire: Path | None = None) -> None:
        self.requests: Counter[int] = Counter(dict.fromkeys(gateways, 0))
        self.answers: Counter[str] = Counter()
        self._next = itertools.cycle(gateways)
        self._wire = wire.open("ab") if wire is not None else None
        self._exchange = itertools.count(1)
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen on a free port; which one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LONGEST_HEAD)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._wire is not None:
            self._wire.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            gateway = next(self._next)
            self.requests[gateway] += 1
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                from_gateway, to_gateway = await asyncio.open_connection("127.0.0.1", gateway)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            writer.transport.abort()
            return
        number = next(self._exchange)
        head = _one_request(head)
        self._log(number, f"> :{gateway}", head)
        to_gateway.write(head)
        try:
            async with asyncio.TaskGroup() as group:
                forth = group.create_task(self._forth(number, reader, to_gateway))
                await self._back(number, from_gateway, writer)
                forth.cancel()
        finally:
            to_gateway.transport.abort()
            writer.close()

    async def _forth(self, number: int, reader: asyncio.StreamReader, gateway: asyncio.StreamWriter) -> None:
        """The request's body; after it, the client says no more until it goes."""
        try:
            while chunk := await reader.read(_CHUNK):
                self._log(number, ">", chunk)
                gateway.write(chunk)
                await gateway.drain()
        except OSError:
            pass
        self._log(number, "> gone", b"")
        gateway.transport.abort()

    async def _back(self, number: int, gateway: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unseen = b""
        try:
            while chunk := await gateway.read(_CHUNK):
                self._log(number, "<", chunk)
                unseen = self._count(unseen + chunk)
                writer.write(chunk)
                await writer.drain()
        except OSError:
            writer.transport.abort()

    def _count(self, data: bytes) -> bytes:
        """Count the nodes that are named; what may hold the beginning of the next name."""
        end = 0
        for found in _NODE.finditer(data):
            self.answers[found[1].decode()] += 1
            end = found.end()
        return data[max(end, len(data) - 256) :]

    def _log(self, number: int, direction: str, data: bytes) -> None:
        if self._wire is not None:
            self._wire.write(f"\n#{number} {direction}\n".encode() + data)
            self._wire.flush()


def _one_request(head: bytes) -> bytes:
    """The head of a request, asking that the connection end after the answer."""
    lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])
