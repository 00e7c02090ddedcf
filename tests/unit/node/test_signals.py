"""The second signal ends a process whose event loop is held, and leaves one alone that comes round."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from longreach.node.signals import EXIT_CODE, Signals


class Door:
    """Where the process would leave."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.left = threading.Event()

    def leave(self, code: int) -> None:
        self.codes.append(code)
        self.left.set()


@pytest.fixture
def door() -> Iterator[Door]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield Door()
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_a_loop_that_is_held_is_left_after_the_second_signal(door: Door) -> None:
    heard: list[int] = []
    signals = Signals(heard.append, held_s=0.05, leave=door.leave)
    signals.open()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        until = time.monotonic() + 5  # the loop is held: nothing is awaited here
        while not door.left.is_set() and time.monotonic() < until:
            pass
        assert door.codes == [EXIT_CODE]
        assert heard == []
    finally:
        signals.close()


async def test_one_signal_leaves_nothing_however_long_the_loop_is_held(door: Door) -> None:
    signals = Signals(lambda number: None, held_s=0.01, leave=door.leave)
    signals.open()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            pass
        assert not door.left.is_set()
    finally:
        signals.close()


async def test_a_loop_that_comes_round_is_told_and_not_left(door: Door) -> None:
    heard: list[int] = []
    signals = Signals(heard.append, held_s=0.2, leave=door.leave)
    signals.open()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(30):
            while len(heard) < 1:
                await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(30):
            while len(heard) < 2:
                await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        assert heard == [signal.SIGTERM, signal.SIGINT]
        assert not door.left.is_set()
    finally:
        signals.close()
