"""The longest turn of an event loop, in seconds of its thread's processor time.

Processor time, not the clock: neither a busy machine nor a process that is stopped makes a turn longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_EVERY_S = 0.005
"""How often the watch looks. A turn is measured as up to so much longer than it is."""


@contextlib.contextmanager
def watch_turns(effects: str) -> Iterator[None]:
    """Write the longest turn of this process's loop beside the file `effects`, until the block ends."""
    if effects == os.devnull:
        yield
        return
    file = Path(f"{effects}.turns.{os.getpid()}")
    task = asyncio.get_running_loop().create_task(_watch(file))
    try:
        yield
    finally:
        task.cancel()


async def _watch(file: Path) -> None:
    longest = 0.0
    before = time.thread_time()
    while True:
        await asyncio.sleep(_EVERY_S)
        now = time.thread_time()
        if now - before > longest:
            longest = now - before
            _write(file, longest)
        before = time.thread_time()


def _write(file: Path, seconds: float) -> None:
    file.write_text(f"{seconds:.6f}\n")


def longest_turn_s(effects: Path) -> float:
    """The longest turn of any node that counted its runs in `effects`; 0.0 if none was watched."""
    files = effects.parent.glob(f"{effects.name}.turns.*")
    return max((float(text) for file in files if (text := file.read_text().strip())), default=0.0)
