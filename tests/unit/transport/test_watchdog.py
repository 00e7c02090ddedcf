from __future__ import annotations

import asyncio
import time

import pytest

from longreach.transport._watchdog import Watchdog


class Connection:
    """Answers each ping after `answer_s`, or never."""

    def __init__(self, answer_s: float | None) -> None:
        self.heard_at = 0.0
        self.pings = 0
        self.lost: list[str] = []
        self._answer_s = answer_s

    def ping(self) -> None:
        self.pings += 1
        if self._answer_s is not None:
            asyncio.get_running_loop().call_later(self._answer_s, self._hear)

    def _hear(self) -> None:
        self.heard_at = asyncio.get_running_loop().time()

    def lose(self, reason: str) -> None:
        self.lost.append(reason)


async def test_silence_is_the_end():
    connection = Connection(answer_s=None)
    began = time.monotonic()
    await asyncio.wait_for(Watchdog(connection, 0.02, 0.06).run(), 30)
    assert connection.lost == ["silent"]
    assert time.monotonic() - began >= 0.06
    assert connection.pings >= 2


async def test_answers_keep_it_going():
    connection = Connection(answer_s=0.001)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Watchdog(connection, 0.02, 0.06).run(), 0.3)
    assert connection.lost == []
    assert connection.pings >= 5


async def test_time_in_which_we_stood_still_does_not_count():
    connection = Connection(answer_s=None)
    running = asyncio.get_running_loop().create_task(Watchdog(connection, 0.02, 0.06).run())
    await asyncio.sleep(0.005)
    time.sleep(0.2)  # noqa: ASYNC251 - a handler that holds the event loop
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert connection.lost == []
    await asyncio.wait_for(running, 30)
    assert connection.lost == ["silent"]
