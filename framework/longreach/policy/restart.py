"""Restarting, as OTP's supervisors do it.

Source: the words and defaults of Erlang/OTP's `supervisor`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Restart = Literal["permanent", "transient", "temporary"]
"""`permanent` is always restarted, `transient` only after a crash or a failed start, `temporary` never."""
ExitKind = Literal["normal", "shutdown", "crash", "start_failed"]
"""`shutdown`: its supervisor ended it, and restarts it only on purpose."""


class RestartWindow:
    """More than `intensity` restarts within `period_s` are too many."""

    def __init__(self, intensity: int, period_s: float) -> None:
        self.intensity = intensity
        self.period_s = period_s
        self._at: deque[float] = deque()

    def record(self, now: float) -> bool:
        """Count a restart at `now` (monotonic s); whether that was one too many."""
        self._at.append(now)
        while self._at and self._at[0] <= now - self.period_s:
            self._at.popleft()
        return len(self._at) > self.intensity


class Ignore(NamedTuple):
    """The child stays ended."""


class RestartChildren(NamedTuple):
    """Stop these, in this order, then start those, in that order."""

    stop: tuple[str, ...]
    start: tuple[str, ...]


class Escalate(NamedTuple):
    """The supervisor gives up, and ends all its children."""

    reason: str


Decision = Ignore | RestartChildren | Escalate


def decide_exit(
    children: Sequence[str],
    child: str,
    restart: Restart,
    kind: ExitKind,
    strategy: Strategy,
    window: RestartWindow,
    now: float,
) -> Decision:
    """What to do about a child that has ended.

    Args:
        children: all of them, in the order in which they were started.
        child: the one that ended.
        restart: its restart type.
        kind: how it ended.
        strategy: the supervisor's.
        window: counts this restart, if it is one.
        now: monotonic seconds.
    """
    failed = kind in ("crash", "start_failed")
    if kind == "shutdown" or restart == "temporary" or (restart == "transient" and not failed):
        return Ignore()
    if window.record(now):
        return Escalate(
            f"{child} ended too often: more than {window.intensity} restarts in {window.period_s:g} s"
        )
    if strategy == "one_for_one":
        return RestartChildren((), (child,))
    at = children.index(child)
    start = tuple(children) if strategy == "one_for_all" else tuple(children[at:])
    stop = tuple(name for name in reversed(start) if name != child)
    return RestartChildren(stop, start)
