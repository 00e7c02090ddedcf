"""How much one legacy client may keep busy, and for how long it is waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import msgspec

from longreach.policy.limits import Limited, Limiter
from longreach.policy.limits import Limits as CallerLimits
from longreach_gateway.limits import ANONYMOUS


class Limits(msgspec.Struct, frozen=True):
    """Of one session, but for those that say otherwise.

    Attributes:
        concurrent: requests that are being answered at the same time; more are refused as busy.
        calls: the same, of the whole gateway.
        calls_per_caller: the same, of one principal, whatever sessions it has.
        rate: how often a principal may ask, whatever sessions it has; None: as often as it likes.
        call_timeout_s: one call of the mesh; None: the tool's own limit, or the mesh's.
        subscriptions: resources that it may be subscribed to at the same time.
        rounds: how often one call may ask its client, one after the other.
        questions: what it may ask for at the same time.
        exchange_s: one request from its coming to its answer, all rounds and the user's thinking included.
        discover_s: how long initialize waits for the mesh to say what it is.
        notes: notifications of one call that wait for a slow client; more, and the oldest are dropped.
        flush_s: how long the answer waits for the notifications before it.
        sessions: of the whole gateway. One more, and the longest idle one ends.
        idle_s: without a request or an open stream, a session ends after so long.
        replay_events: sent messages that are kept so that a broken stream can be resumed.
        replay_bytes: of them, together, for the whole gateway.
        retry_ms: what a client is told to wait before it resumes a stream.
    """

    concurrent: int = 128
    calls: int = 2000
    calls_per_caller: int = 200
    rate: CallerLimits | None = None
    call_timeout_s: float | None = None
    subscriptions: int = 256
    rounds: int = 32
    questions: int = 16
    exchange_s: float = 900.0
    discover_s: float = 5.0
    notes: int = 256
    flush_s: float = 5.0
    sessions: int = 10_000
    idle_s: float = 1800.0
    replay_events: int = 256
    replay_bytes: int = 32 * 1024 * 1024
    retry_ms: int = 1000


LIMITS = Limits()


class Load:
    """What all clients of one gateway keep busy, and how often they ask.

    Args:
        limits: how much that may be.
        now: monotonic seconds.
    """

    def __init__(self, limits: Limits, now: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._rate = None if limits.rate is None else Limiter(limits.rate)
        self._now = now
        self._of: Counter[str | None] = Counter()

    def enter(self, caller: str | None) -> bool:
        """One more request of `caller`, if there is room; `leave` ends it."""
        if self._of.total() >= self._limits.calls:
            return False
        if caller is not None and self._of[caller] >= self._limits.calls_per_caller:
            return False
        self._of[caller] += 1
        return True

    def comes(self, caller: str | None) -> Limited | None:
        """A request of `caller` comes; None: as often as it may."""
        if self._rate is None:
            return None
        return self._rate.enter(ANONYMOUS if caller is None else caller, self._now())

    def leave(self, caller: str | None) -> None:
        """A request of `caller` is over."""
        self._of[caller] -= 1
        if not self._of[caller]:
            del self._of[caller]
