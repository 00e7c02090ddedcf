"""Whether a route works, by what became of the calls that took it: a circuit breaker and its latency.

States and what moves them, by `_NEXT`: a closed breaker opens when calls were lost in a row, for a while and
without one answer in between; an open one is half open when its time is up; from then on one call at a time
tries it, and its ending closes or opens it. An answer, whatever it says, closes it: what answers works.
Health orders routes; it forbids none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from longreach.policy.backoff import Backoff, Random

Standing = Literal["closed", "open", "half_open"]
Happening = Literal["answered", "tripped", "due", "lost"]

LOSSES = 5
"""So many calls in a row must be lost."""
LOSSES_LAST_S = 0.25
"""And for so long: the calls of one dead node among several are lost at the same moment."""
PROBE_S = 5.0
"""A call that tries a route and says nothing for so long holds up no other."""
OPEN = Backoff(first_s=1.0, factor=2.0, max_s=10.0, jitter=0.2)
_SMOOTH = 0.1
"""How much of the difference a faster answer takes the estimate down by; a slower one is the estimate."""

_NEXT: Mapping[tuple[Standing, Happening], Standing] = {
    ("closed", "tripped"): "open",
    ("open", "due"): "half_open",
    ("open", "answered"): "closed",
    ("half_open", "lost"): "open",
    ("half_open", "answered"): "closed",
}


class Seen(NamedTuple):
    """What is known of a route's health."""

    standing: Standing = "closed"
    latency_s: float | None = None


UNSEEN = Seen()


class Breaker:
    """The health of one route; times are monotonic seconds."""

    __slots__ = ("_probe_at", "_since", "_streak", "_trips", "due_at", "latency_s", "standing")

    def __init__(self) -> None:
        self.standing: Standing = "closed"
        self.latency_s = 0.0
        """A peak-sensitive moving average of how long answers took; 0: there was none yet."""
        self.due_at = 0.0
        """When an open one is half open."""
        self._streak = 0
        self._since = 0.0
        self._trips = 0
        self._probe_at: float | None = None

    @property
    def seen(self) -> Seen:
        """It as a value."""
        return Seen(self.standing, self.latency_s or None)

    def answered(self, took_s: float) -> bool:
        """A call was answered after `took_s`; whether that moved the state. The hot path."""
        latency_s = self.latency_s
        self.latency_s = took_s if took_s > latency_s else latency_s + (took_s - latency_s) * _SMOOTH
        return self._streak != 0 and self.works()

    def works(self) -> bool:
        """The route answered; whether that moved the state."""
        self._streak = 0
        self._probe_at = None
        if self.standing == "closed":
            return False
        self._trips = 0
        self._move("answered")
        return True

    def lost(self, now: float, random: Random) -> bool:
        """A call was lost; whether that moved the state."""
        if self._streak == 0:
            self._since = now
        self._streak += 1
        if self.standing == "half_open":
            return self._open("lost", now, random)
        trips = self._streak >= LOSSES and now - self._since >= LOSSES_LAST_S
        return self.standing == "closed" and trips and self._open("tripped", now, random)

    def given_up(self) -> None:
        """A call ended without saying anything of the route: it was cancelled, or refused."""
        self._probe_at = None

    def tick(self, now: float) -> bool:
        """Time has passed; whether that moved the state."""
        if self.standing != "open" or now < self.due_at:
            return False
        self._move("due")
        return True

    def hope(self, now: float) -> bool:
        """There is a reason to think that it works again; whether that moved the state."""
        self.due_at = min(self.due_at, now)
        return self.tick(now)

    def probe(self, now: float) -> bool:
        """Whether a call may take the route, and claims to be the one that tries it."""
        if self.standing != "half_open":
            return self.standing == "closed"
        if self._probe_at is not None and now < self._probe_at + PROBE_S:
            return False
        self._probe_at = now
        return True

    def _open(self, why: Happening, now: float, random: Random) -> bool:
        self._move(why)
        self._trips += 1
        self._probe_at = None
        self.due_at = now + OPEN.delay(self._trips, random)
        return True

    def _move(self, what: Happening) -> None:
        self.standing = _NEXT[self.standing, what]
