"""Whether a canary fails more than what it is to replace: counts in, a verdict out.

Two shares of errors are compared by their confidence intervals (Wilson): the canary is worse where even the
good end of its interval is above the bad end of the others'. So few calls prove nothing, and chance rolls
nothing back. It must be worse at several looks in a row; and what was rolled back stays so until an operator
says otherwise.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from longreach.policy.instances import Key
from longreach.wire.frames import Announcement, Stats

_MAX_OTHERS = 4096


class Counts(NamedTuple):
    """Calls that ended, and those of them that failed."""

    calls: int = 0
    errors: int = 0

    def since(self, before: Counts) -> Counts:
        """What came after `before`."""
        return Counts(max(0, self.calls - before.calls), max(0, self.errors - before.errors))

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(self.calls + other.calls, self.errors + other.errors)


class Rules(NamedTuple):
    """What it takes.

    Attributes:
        min_calls: of the canary, and of the others, before anything is decided.
        z: the width of the intervals, in standard deviations; 3.29 is 999 of 1,000, for many looks.
        looks: so many looks in a row must find it worse.
    """

    min_calls: int = 20
    z: float = 3.29
    looks: int = 3


RULES = Rules()


class Finding(NamedTuple):
    """What a look found."""

    verdict: Literal["keep", "roll_back"]
    canary: Counts
    stable: Counts


def bounds(counts: Counts, z: float) -> tuple[float, float]:
    """The interval in which the true share of errors is, by Wilson; (0, 1) without calls."""
    calls, errors = counts
    if calls == 0:
        return 0.0, 1.0
    share, spread = errors / calls, z * z / calls
    middle = share + spread / 2
    reach = z * math.sqrt(max(0.0, share * (1 - share)) / calls + spread / (4 * calls))
    return max(0.0, (middle - reach) / (1 + spread)), min(1.0, (middle + reach) / (1 + spread))


def is_worse(canary: Counts, stable: Counts, rules: Rules = RULES) -> bool:
    """Whether the canary's share of errors is higher, beyond chance."""
    if min(canary.calls, stable.calls) < rules.min_calls:
        return False
    return bounds(canary, rules.z)[0] > bounds(stable, rules.z)[1]


class CanaryWatch:
    """What one node that has a canary knows of its server: its own counts, and what others announce.

    Args:
        server: the server's name.
        version: the canary's version.
        me: the node's own key, which announcements of its own have.
        rules: what it takes.
    """

    def __init__(self, server: str, version: str, me: Key, rules: Rules = RULES) -> None:
        self._server = server
        self._version = version
        self._me = me
        self._rules = rules
        self._began = Counts()
        self._first: dict[tuple[Key, bool], Counts] = {}
        self._latest: dict[tuple[Key, bool], Counts] = {}
        self._worse = 0

    def begin(self, own: Counts) -> None:
        """The canary gets its share from now on: what was before says nothing of it."""
        self._began = own
        self._first.clear()
        self._latest.clear()
        self._worse = 0

    def heard(self, announcement: Announcement) -> None:
        """Another node, or this one, says what became of its calls."""
        key = (announcement.identity, announcement.instance, announcement.server)
        if announcement.server != self._server or key == self._me:
            return
        stats = announcement.stats
        if not isinstance(stats, Stats):
            return
        mine = announcement.version == self._version
        if not mine and isinstance(announcement.canary, int):
            return  # a canary of another version is no measure
        counts = Counts(stats.calls, stats.errors)
        place = (key, mine)
        if place not in self._latest and len(self._latest) >= _MAX_OTHERS:
            return
        self._first.setdefault(place, counts)
        self._latest[place] = counts

    def look(self, own: Counts) -> Finding:
        """Compare.

        Args:
            own: the counts of this node, since it started.
        """
        canary, stable, ever = own.since(self._began), Counts(), Counts()
        for (key, mine), latest in self._latest.items():
            since = latest.since(self._first[key, mine])
            if mine:
                canary = canary.plus(since)
            else:
                stable, ever = stable.plus(since), ever.plus(latest)
        if stable.calls < self._rules.min_calls:  # what they did before the canary came is a measure too
            stable = ever
        self._worse = self._worse + 1 if is_worse(canary, stable, self._rules) else 0
        return Finding("roll_back" if self._worse >= self._rules.looks else "keep", canary, stable)
