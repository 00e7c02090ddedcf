"""Many subscribers over HTTP: bare sockets, so that thousands of them cost little.

`python -m tests.support.listeners PATH COUNT PORT...` opens that many, says "ready", and holds them until it
is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter

import msgspec
from tests.support.gateways import encode, headers_for, message

FILTER = {"toolsListChanged": True, "resourceSubscriptions": ["note://today"]}
_AT_ONCE = 50
_OPEN_TIMEOUT_S = 60.0


class Listener:
    """One subscriptions/listen over HTTP, and how often it heard what."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.heard: Counter[str] = Counter()

    @classmethod
    async def open(cls, port: int, path: str) -> Listener:
        """Connect, ask, and wait for the acknowledgement."""
        request = message("subscriptions/listen", {"notifications": FILTER})
        body = encode(request)
        head = {"Host": f"localhost:{port}", "Content-Length": str(len(body)), **headers_for(request)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        listener = cls(reader, writer)
        writer.write(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        status = await reader.readline()
        assert b" 200 " in status, (status, await reader.read(2000))
        await listener.until("notifications/subscriptions/acknowledged", 1)
        return listener

    async def until(self, method: str, times: int) -> None:
        """Read until it has heard `method` that often in all."""
        while self.heard[method] < times:
            line = await self._reader.readline()
            assert line, f"the stream ended; heard {dict(self.heard)}"
            if line.startswith(b"data:"):
                self.heard[msgspec.json.decode(line[5:])["method"]] += 1

    def close(self) -> None:
        self._writer.transport.abort()


async def open_all(ports: list[int], path: str, count: int) -> list[Listener]:
    """`count` listeners, spread over `ports`."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(port: int) -> Listener:
        async with slots:
            return await Listener.open(port, path)

    async with asyncio.timeout(_OPEN_TIMEOUT_S), asyncio.TaskGroup() as group:
        opening = [group.create_task(one(port)) for port in itertools.islice(itertools.cycle(ports), count)]
    return [task.result() for task in opening]


async def main(path: str, count: int, ports: list[int]) -> None:
    held = await open_all(ports, path, count)
    sys.stdout.write(f"ready {len(held)}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), [int(port) for port in sys.argv[3:]]))
