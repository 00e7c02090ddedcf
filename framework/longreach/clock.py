"""Time as an argument: the one place where a clock is read.

Durations and deadlines inside a process are monotonic seconds; deadlines on the wire are wall-clock
milliseconds since the epoch (docs/binding.md, Deadlines).
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What longreach asks of time."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; comparable within one process only."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.monotonic)

    @staticmethod
    def wall_ms() -> int:
        """Milliseconds since the Unix epoch, as the machine has it."""
        return time.time_ns() // 1_000_000


class FakeClock:
    """A clock that stands still until it is told to advance; for tests, the users' own among them."""

    def __init__(self, monotonic_s: float = 1000.0, wall_ms: int = 1_800_000_000_000) -> None:
        self._monotonic_s = monotonic_s
        self._wall_ms = float(wall_ms)

    def monotonic(self) -> float:
        """The fake monotonic time, in seconds."""
        return self._monotonic_s

    def wall_ms(self) -> int:
        """The fake wall time, in milliseconds since the epoch."""
        return int(self._wall_ms)

    def advance(self, seconds: float) -> None:
        """Let both clocks move on by `seconds` >= 0."""
        if seconds < 0:
            raise ValueError("time does not go back; advance by 0 or more seconds")
        self._monotonic_s += seconds
        self._wall_ms += seconds * 1000


SYSTEM_CLOCK: Clock = SystemClock()
