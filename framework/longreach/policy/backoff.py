"""How long to wait before the next try."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from longreach.errors import ConfigError

Random = Callable[[], float]
"""A source of numbers in [0, 1)."""


class Backoff(msgspec.Struct, frozen=True):
    """Exponential back-off with jitter.

    Args:
        first_s: before the first repetition.
        factor: by which each wait is longer than the one before, at least 1.
        max_s: no wait is longer.
        jitter: the share of a wait that chance may take away, 0 to 1.
    """

    first_s: float = 0.1
    factor: float = 2.0
    max_s: float = 30.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.first_s <= self.max_s and self.factor >= 1 and 0 <= self.jitter <= 1):
            raise ConfigError(f"{self} is no back-off: 0 < first_s <= max_s, factor >= 1, 0 <= jitter <= 1")

    def delay(self, attempt: int, random: Random) -> float:
        """The wait before repetition number `attempt` (1 is the first), in seconds."""
        exponent = min(max(attempt, 1) - 1, 64)
        full = min(self.first_s * self.factor**exponent, self.max_s)
        return full * (1 - self.jitter * random())
