"""The demo's books: every call that began, how it ended, and what a kill did to those it met."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

_RECENT = 4_000
REFUSALS = frozenset({"no_responders", "busy", "draining", "expired", "not_here", "crashed"})
"""Why a call that had not begun anywhere was sent elsewhere; none of them means that it was lost."""


class Answered(NamedTuple):
    """A call that was answered; times in seconds since the demo began."""

    tool: str
    is_slow: bool
    began_s: float
    ended_s: float
    region: str
    node: str
    retries: tuple[str, ...]

    @property
    def took_s(self) -> float:
        """How long its caller waited, retries included."""
        return self.ended_s - self.began_s


class Latencies(msgspec.Struct, frozen=True):
    """Percentiles of how long calls took, in seconds."""

    p50_s: float = 0.0
    p95_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


class Felt(msgspec.Struct, frozen=True):
    """What callers felt of a kill.

    Attributes:
        calls: how many were lost with the node, and sent again.
        reasons: why, and how often.
        longest_s: the longest extra wait: beyond the usual time of the same tool, before the kill.
        longest_fast_s: the same, of calls that are not slow by themselves: about how long it took to notice.
        until_s: how long after the kill the last of them was answered.
    """

    calls: int = 0
    reasons: dict[str, int] = {}
    longest_s: float = 0.0
    longest_fast_s: float = 0.0
    until_s: float = 0.0


class Tally:
    """Counts calls; each begins once and ends once."""

    def __init__(self) -> None:
        self.begun = 0
        self.failures: list[str] = []
        self.wrong: list[str] = []
        self.strayed = 0
        self.notes = 0
        self.answered: list[Answered] = []
        self.per_node: Counter[tuple[str, str]] = Counter()
        self.retries: Counter[str] = Counter()
        self._recent: deque[Answered] = deque(maxlen=_RECENT)

    @property
    def in_flight(self) -> int:
        """Calls that have not ended."""
        return self.begun - len(self.answered) - len(self.failures)

    @property
    def is_clean(self) -> bool:
        """Whether every call ended in the right result, in a region where it may run."""
        return not (self.in_flight or self.failures or self.wrong or self.strayed)

    def began(self) -> None:
        """A call begins."""
        self.begun += 1

    def ended(self, call: Answered) -> None:
        """A call was answered."""
        self.answered.append(call)
        self._recent.append(call)
        self.per_node[call.region, call.node] += 1
        self.retries.update(call.retries)

    def failed(self, why: str) -> None:
        """A call ended without a result."""
        self.failures.append(why)

    def recent(self, now_s: float, window_s: float) -> list[Answered]:
        """What was answered within the last `window_s` seconds, newest first; the last few thousand only."""
        found: list[Answered] = []
        for call in reversed(self._recent):
            if call.ended_s < now_s - window_s:
                break
            found.append(call)
        return found

    def felt(self, killed_at_s: float, quiet_s: float = 3.0) -> Felt:
        """What callers felt of a kill.

        Args:
            killed_at_s: when it happened.
            quiet_s: a call that began later than this after the kill is none of its calls.
        """
        affected = [
            call
            for call in self.answered
            if set(call.retries) - REFUSALS
            and call.ended_s >= killed_at_s
            and call.began_s <= killed_at_s + quiet_s
        ]
        if not affected:
            return Felt()
        usual = self._usual_s(killed_at_s)
        extra = [(call.took_s - usual.get(call.tool, 0.0), call.is_slow) for call in affected]
        return Felt(
            len(affected),
            dict(Counter(reason for call in affected for reason in call.retries)),
            max((wait_s for wait_s, _ in extra), default=0.0),
            max((wait_s for wait_s, is_slow in extra if not is_slow), default=0.0),
            max(call.ended_s for call in affected) - killed_at_s,
        )

    def _usual_s(self, before_s: float) -> dict[str, float]:
        """The median time of each tool, over the calls that ended before `before_s`."""
        times: dict[str, list[float]] = {}
        for call in self.answered:
            if call.ended_s < before_s and not call.retries:
                times.setdefault(call.tool, []).append(call.took_s)
        return {tool: statistics.median(found) for tool, found in times.items()}


def latencies(calls: Iterable[Answered]) -> Latencies:
    """The percentiles of `calls`; zeros if there are none."""
    times = sorted(call.took_s for call in calls)
    if not times:
        return Latencies()
    return Latencies(percentile(times, 50), percentile(times, 95), percentile(times, 99), times[-1])


def percentile(ordered: list[float], percent: float) -> float:
    """The smallest value that `percent` of `ordered` do not exceed; it is sorted, and not empty."""
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(0, int(rank) - 1)]
