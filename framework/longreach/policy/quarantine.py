"""What becomes of an actor that calls make crash: back soon, then kept out for longer and longer.

Crashes by calls never reach the node: a caller that crashes an actor on purpose takes that actor from
this node for a while, and nothing else.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from longreach.policy.backoff import Backoff, Random


class Verdict(NamedTuple):
    """In which state the actor waits, and for how long."""

    state: Literal["restarting", "quarantined"]
    delay_s: float


class Quarantine:
    """The crash history of one actor.

    Args:
        threshold: so many crashes in a row are forgiven with a short delay.
        calm_s: after so long without a crash the row ends.
        restart_s: the short delay.
        backoff: of the quarantine.
    """

    def __init__(
        self,
        threshold: int = 3,
        calm_s: float = 30.0,
        restart_s: float = 0.05,
        backoff: Backoff | None = None,
    ) -> None:
        self._threshold = threshold
        self._calm_s = calm_s
        self._restart_s = restart_s
        self._backoff = backoff or Backoff(first_s=1.0, factor=2.0, max_s=60.0, jitter=0.3)
        self._streak = 0
        self._last = float("-inf")

    @property
    def streak(self) -> int:
        """How many crashes in a row."""
        return self._streak

    def crashed(self, now: float, random: Random) -> Verdict:
        """Decide about a crash at `now` (monotonic s)."""
        if now - self._last > self._calm_s:
            self._streak = 0
        self._streak += 1
        self._last = now
        if self._streak <= self._threshold:
            return Verdict("restarting", self._restart_s)
        delay_s = self._backoff.delay(self._streak - self._threshold, random)
        self._last = now + delay_s  # the calm is counted from when it is back
        return Verdict("quarantined", delay_s)
