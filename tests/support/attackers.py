"""Sends attacks to a gateway, over many connections at once, and holds its answers to what HTTP promises."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field

from tests.support.mutations import Attack, attack

ANSWER_S = 15.0
STALLED_S = 0.15
"""A request that is not whole may wait for the rest of itself; then it is the attacker who hangs up."""
_SESSION = re.compile(rb"\r\nmcp-session-id: ([^\r]+)")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass
class Report:
    """What came of it.

    Attributes:
        statuses: how often each status was the answer; 0: the connection ended without one.
        broken: seeds of attacks whose answer was none that HTTP or the gateway may give, and why.
        sessions: how often each status was the answer to closing a session that an attack had opened.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    sessions: Counter[int] = field(default_factory=Counter)


class Attacker:
    """One connection, reopened as often as it is closed."""

    def __init__(self, port: int, report: Report) -> None:
        self._port = port
        self._report = report
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._session = b""

    async def send(self, one: Attack) -> None:
        try:
            status = await self._exchange(one)
        except TimeoutError:
            status = 0
            await self.close()
            if one.is_whole and not one.leave:
                self._report.broken.append(f"seed {one.seed}: no answer in {ANSWER_S} s")
        except (ConnectionError, asyncio.IncompleteReadError):
            status = 0
            await self.close()
        self._report.statuses[status] += 1
        if status in (500, 502, 504) or (status == 0 and one.is_whole and not one.leave):
            self._report.broken.append(f"seed {one.seed}: status {status}")

    async def _exchange(self, one: Attack) -> int:
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        start = 0
        for end in [*one.pieces, len(one.data)]:
            self._writer.write(one.data[start:end])
            start = end
            if one.pieces:
                await self._writer.drain()
                await asyncio.sleep(0)
        await self._writer.drain()
        if one.leave:
            await self.close()
            return 0
        async with asyncio.timeout(ANSWER_S if one.is_whole else STALLED_S):
            status, keep = await self._read(self._reader, one.method)
            if self._session:
                keep = keep and one.is_whole and await self._end_session()
        if not (keep and one.is_whole):
            await self.close()
        return status

    async def _read(self, reader: asyncio.StreamReader, method: str) -> tuple[int, bool]:
        """The status, and whether the connection can be used again."""
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(_STATUS.match(head)[1])  # type: ignore[index] # or it is a failure of the test
            if status != 100:
                break
        found = _SESSION.search(head)
        if found is not None:
            self._session = found[1]
        if method != "HEAD" and status not in (204, 304):
            length = re.search(rb"content-length: (\d+)", head)
            if length is not None:
                await reader.readexactly(int(length[1]))
            elif b"transfer-encoding: chunked" in head:
                await self._read_chunks(reader)
            else:
                await reader.read()
                return status, False
        return status, b"connection: close" not in head

    async def _end_session(self) -> bool:
        """A session that an attack has opened is closed again, or it would stay until it is idle for long."""
        assert self._reader is not None
        assert self._writer is not None
        session, self._session = self._session, b""
        self._writer.write(b"DELETE /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nmcp-session-id: %s\r\n\r\n" % session)
        status, keep = await self._read(self._reader, "DELETE")
        self._report.sessions[status] += 1
        return keep

    async def _read_chunks(self, reader: asyncio.StreamReader) -> None:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()


async def storm(port: int, seeds: range, at_once: int = 24) -> Report:
    """Send the attacks of all `seeds`."""
    report, left = Report(), iter(seeds)

    async def work() -> None:
        attacker = Attacker(port, report)
        for seed in left:
            await attacker.send(attack(seed))
        await attacker.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return report
