"""`Pace`: how long the calls of an actor take, and so how long what waits will wait."""

from __future__ import annotations

_WEIGHT = 1 / 16
"""Of the newest call in the average; the first ones count alike."""
_OUTLIER = 8.0
"""One call counts as so many times the average at the most: a single slow one must not refuse all others."""
_GUESS_S = 0.05
"""Instead of what nobody has measured yet."""
_MARGIN = 1.1
"""What is promised to end in time must do so if the next calls take a little longer."""
_FRESH_S = 5.0
_FRESH_TIMES = 4.0
"""What was measured is forgotten after 5 s, or as many times what a call takes, without a measurement."""
MAX_RETRY_AFTER_S = 60.0


class Pace:
    """The moving average of how long calls take, measured while others wait.

    Args:
        concurrency: how many run at once.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._count = 0
        self._service_s = 0.0
        self._measured_at = 0.0

    @property
    def service_s(self) -> float | None:
        """How long one call takes; None: none was measured."""
        return self._service_s if self._count else None

    def ended(self, took_s: float, now: float) -> None:
        """A call has ended at `now` (monotonic s) that took so long."""
        if not self._is_fresh(now):
            self._count, self._service_s = 0, 0.0
        self._measured_at = now
        self._count += 1
        if self._count > 1 / _WEIGHT:
            took_s = min(took_s, self._service_s * _OUTLIER)
        self._service_s += (took_s - self._service_s) * max(_WEIGHT, 1 / self._count)

    def fits(self, now: float, ahead: int, left_s: float, waited_s: float = 0.0) -> bool:
        """Whether a call with so much time left can end in time, as far as is known.

        Args:
            now: monotonic seconds.
            ahead: how many have their turn before it, by those who wait now.
            left_s: how much time it has.
            waited_s: how long its caller's oldest has waited, which may be longer than by those who wait now:
                others come and go in between.
        """
        wait_s = max(self._service_s * (ahead + 1) / self._concurrency, waited_s)
        return (wait_s + self._service_s) * _MARGIN <= left_s or not self._is_fresh(now)

    def _is_fresh(self, now: float) -> bool:
        """Whether what was measured is of now: who refuses by old times never measures new ones."""
        kept_s = max(_FRESH_S, _FRESH_TIMES * self._service_s)
        return self._count > 0 and now - self._measured_at <= kept_s

    def is_late(self, left_s: float) -> bool:
        """Whether a call whose turn it is would most likely be cut off by its deadline."""
        return left_s <= self._service_s

    def retry_after_s(self, waiting: int, oldest_s: float) -> float:
        """When to ask again: when half of what waits has begun, and no sooner than one call takes.

        Half, because who comes back to an empty mailbox has left an actor idle.

        Args:
            waiting: how many wait.
            oldest_s: for how long the oldest of those that run has done so: all that is known at first.
        """
        service_s = self._service_s if self._count else max(oldest_s, _GUESS_S)
        return min(service_s * max(1.0, waiting / self._concurrency / 2), MAX_RETRY_AFTER_S)
