"""How much one caller may ask for: token buckets and counts, for a bounded number of callers.

Source: docs/overload.md. A caller is ``via.caller``, which the broker's permissions vouch for.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from longreach.errors import ConfigError

MAX_CALLERS = 10_000
"""So many callers' buckets are kept; who is forgotten begins again with a full one."""
_FULL_S = 0.1
"""When a caller with too many calls under way is told to ask again."""
_SLOWEST_S = 60.0

LimitKind = Literal["rate", "concurrency", "fleet_rate"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What each caller may do; what is beyond is refused with "busy", and told when to come back.

    Args:
        rate_per_s: calls a second, on each node.
        burst: so many at once, if it was quiet before; without it one second's worth, at least 1.
        concurrency: calls under way at once, on each node: those that wait in a mailbox count.
        fleet_rate_per_s: calls a second on all nodes of the server in one region together; each node takes
            its share of it (docs/overload.md says how exact that is).
    """

    rate_per_s: float | None = None
    burst: int | None = None
    concurrency: int | None = None
    fleet_rate_per_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("rate_per_s", "fleet_rate_per_s"):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate < math.inf:
                raise ConfigError(f"{name} must be more than 0, and finite, not {rate}")
        for name in ("burst", "concurrency"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ConfigError(f"{name} must be at least 1, not {count}")
        if self.burst is not None and self.rate_per_s is None and self.fleet_rate_per_s is None:
            raise ConfigError("burst says how uneven a rate may be; name rate_per_s or fleet_rate_per_s")

    @property
    def limits_nothing(self) -> bool:
        """Whether everybody may do everything."""
        return self.rate_per_s is None and self.concurrency is None and self.fleet_rate_per_s is None


class Limited(NamedTuple):
    """A call is beyond a limit: which kind of limit, and when to ask again."""

    limit: LimitKind
    retry_after_s: float


class Buckets:
    """A token bucket for each caller.

    Args:
        rate_per_s: by which each is filled.
        burst: what one holds.
        most: so many callers are remembered; the one that came longest ago is forgotten first.
    """

    def __init__(self, rate_per_s: float, burst: float, most: int = MAX_CALLERS) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._most = most
        self._of: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (tokens, when)

    def __len__(self) -> int:
        return len(self._of)

    @property
    def rate_per_s(self) -> float:
        """By which each is filled."""
        return self._rate_per_s

    def refill(self, rate_per_s: float, burst: float) -> None:
        """From now on, fill them by another rate; what is in them stays, as far as it has room."""
        self._rate_per_s = rate_per_s
        self._burst = burst

    def take(self, caller: str, now: float) -> float:
        """Take a token at `now` (monotonic s): 0.0, or in how many seconds there will be one."""
        tokens, at = self._of.get(caller, (self._burst, now))
        tokens = min(self._burst, tokens + max(0.0, now - at) * self._rate_per_s)
        wait_s = 0.0
        if tokens >= 1:
            tokens -= 1
        else:
            wait_s = (1 - tokens) / self._rate_per_s
        self._of[caller] = (tokens, now)
        self._of.move_to_end(caller)
        if len(self._of) > self._most:
            _ = self._of.popitem(last=False)
        return wait_s

    def spend(self, caller: str) -> None:
        """Take the next token before it is there: who does waits as long as `take` said."""
        known = self._of.get(caller)
        if known is not None:
            self._of[caller] = (known[0] - 1, known[1])

    def give_back(self, caller: str) -> None:
        """The token that was taken last was not used."""
        known = self._of.get(caller)
        if known is not None:
            self._of[caller] = (min(self._burst, known[0] + 1), known[1])


class Limiter:
    """One set of `Limits`, and how much of it each caller uses.

    Args:
        limits: what is allowed.
        share: of the fleet's rate that is this node's, to begin with.
    """

    def __init__(self, limits: Limits, share: float = 1.0) -> None:
        self.limits = limits
        self._concurrency = limits.concurrency
        self._under_way: dict[str, int] = {}
        self._rates: list[tuple[LimitKind, Buckets]] = []
        self._fleet: Buckets | None = None
        if limits.rate_per_s is not None:
            burst = burst_of(limits.rate_per_s, limits.burst)
            self._rates.append(("rate", Buckets(limits.rate_per_s, burst)))
        if limits.fleet_rate_per_s is not None:
            self._fleet = Buckets(limits.fleet_rate_per_s, 1)
            self._rates.append(("fleet_rate", self._fleet))
            self.take_share(share)

    def take_share(self, share: float) -> None:
        """This node's share of the fleet's rate is `share` from now on (0 to 1)."""
        whole = self.limits.fleet_rate_per_s
        if self._fleet is not None and whole is not None:
            burst = burst_of(whole, self.limits.burst) * share
            self._fleet.refill(max(whole * share, 1e-6), max(1.0, burst))

    def enter(self, caller: str, now: float) -> Limited | None:
        """A call of `caller` comes; None: it may, and `leave` says when it has ended."""
        count = self._under_way.get(caller, 0) if self._concurrency is not None else 0
        if self._concurrency is not None and count >= self._concurrency:
            return Limited("concurrency", _FULL_S)
        for at, (kind, buckets) in enumerate(self._rates):
            wait_s = buckets.take(caller, now)
            if wait_s:
                for _, before in self._rates[:at]:
                    before.give_back(caller)
                return Limited(kind, min(wait_s, _SLOWEST_S))
        if self._concurrency is not None:
            self._under_way[caller] = count + 1
        return None

    def leave(self, caller: str) -> None:
        """A call of `caller` that came in has ended."""
        if self._concurrency is None:
            return
        left = self._under_way[caller] - 1
        if left:
            self._under_way[caller] = left
        else:
            del self._under_way[caller]

    def forget(self, caller: str) -> None:
        """A call of `caller` that came in was never made."""
        for _, buckets in self._rates:
            buckets.give_back(caller)
        self.leave(caller)


class Gate:
    """Several limits that one call must keep: a tool's, its server's, the node's.

    Args:
        limiters: all of them.
    """

    def __init__(self, limiters: Sequence[Limiter]) -> None:
        self.limiters = tuple(limiters)

    def enter(self, caller: str, now: float, paid: tuple[Limiter, ...] = ()) -> Limited | None:
        """A call of `caller` comes; None: it may, and `leave` says when it has ended.

        Args:
            caller: whose call it is.
            now: monotonic seconds.
            paid: those that it entered already, when it was offered.
        """
        for at, limiter in enumerate(self.limiters):
            if paid and limiter in paid:
                continue
            limited = limiter.enter(caller, now)
            if limited is not None:
                for before in self.limiters[:at]:
                    if before not in paid:
                        before.forget(caller)
                return limited
        return None

    def leave(self, caller: str) -> None:
        """A call of `caller` that came in has ended."""
        for limiter in self.limiters:
            limiter.leave(caller)

    def forget(self, caller: str) -> None:
        """A call of `caller` that came in was never made."""
        for limiter in self.limiters:
            limiter.forget(caller)


def burst_of(rate_per_s: float, burst: int | None) -> float:
    """What a bucket holds: `burst`, or one second's worth."""
    return float(burst) if burst is not None else max(1.0, rate_per_s)
