"""Whether a failed attempt is made again, where, and when: the closed table of endings, read.

Source: docs/binding.md 5. What did not begin may go elsewhere; what may have begun is run again at most
once, and only where that is known to be harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from longreach.errors import Delivered
from longreach.policy.backoff import Backoff, Random
from longreach.policy.hints import Hints
from longreach.policy.route import Candidate
from longreach.wire.subjects import ANY

ABSENT_S = 5.0
"""For how long "no responders" is taken for a passing thing where the catalog lists the tool."""
UNLISTED_S = 1.0
"""And where it doesn't."""
_AGAIN = Backoff(first_s=0.01, factor=2.0, max_s=0.5, jitter=0.5)
_Place = tuple[str | None, str]
"""A region, and the target token there."""
_LINK_REASONS = frozenset({"link"})
_MAX_DOUBLINGS = 6
"""Each refusal of a call doubles the wait that the next one asks for: who refuses knows those that it has
taken, not how many come back."""
_SPREAD = 0.5
"""By so much of it chance lengthens a wait that was asked for: who were told the same come one by one."""


class Failure(NamedTuple):
    """How an attempt failed; `to` is the target token that it went to, `node` who had it, where known."""

    delivered: Delivered
    reason: str
    region: str | None = None
    retry_after_s: float | None = None
    limit: str | None = None
    to: str | None = None
    node: str | None = None


class Again(NamedTuple):
    """Try there after `delay_s`; `candidate` None: decide again then, nobody can take it now."""

    candidate: Candidate | None
    delay_s: float


class Stop(NamedTuple):
    """It is over; `failure` is how the call ended."""

    failure: Failure


class RetryBudget:
    """Re-runs of what may have run already: a burst that covers the loss of a node, then a steady share.

    Time earns re-runs too: with slow tools there are few calls to earn them, and each lost node takes as many
    with it as were in flight.

    Args:
        burst: so many at once.
        per_call: how much of one re-run each new call earns.
        per_s: how many each second earns.
    """

    def __init__(self, burst: float = 256.0, per_call: float = 0.1, per_s: float = 16.0) -> None:
        self._burst = burst
        self._per_call = per_call
        self._per_s = per_s
        self._tokens = burst
        self._taken_at: float | None = None

    @property
    def left(self) -> float:
        """How many re-runs there are now."""
        return self._tokens

    def began(self) -> None:
        """A call began."""
        if self._tokens < self._burst:
            self._tokens = min(self._burst, self._tokens + self._per_call)

    def take(self, now: float) -> bool:
        """Take one re-run at `now` (monotonic s), if there is one."""
        if self._taken_at is not None:
            earned = max(0.0, now - self._taken_at) * self._per_s
            self._tokens = min(self._burst, self._tokens + earned)
        self._taken_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Returns:
    """How often calls may come back to what has refused them as busy: one place, all calls of one caller.

    Who comes back and is taken earns two more; so does time, a little. Where more than half of those that
    come back are refused again, only a trickle goes on: what is busy has work enough without them, and saying
    no costs it time as well.

    Args:
        burst: so many at once.
        per_s: how many each second earns.
        per_taken: and each one that was taken.
    """

    def __init__(self, burst: float = 256.0, per_s: float = 16.0, per_taken: float = 2.0) -> None:
        self._burst = burst
        self._per_s = per_s
        self._per_taken = per_taken
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """One comes back at `now` (monotonic s), if it may."""
        if self._at is not None:
            earned = max(0.0, now - self._at) * self._per_s
            self._tokens = min(self._burst, self._tokens + earned)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def taken(self) -> None:
        """One that came back was not refused again."""
        self._tokens = min(self._burst, self._tokens + self._per_taken)


class RetryState:
    """What has become of one call so far."""

    __slots__ = (
        "_absent_since",
        "attempts",
        "denied_regions",
        "maybe_ran",
        "not_before",
        "reruns",
        "returned",
        "tried",
    )

    def __init__(self) -> None:
        self.attempts = 0
        self.reruns = 0
        self.maybe_ran: Failure | None = None
        self.denied_regions: frozenset[str] = frozenset()
        self.tried: dict[_Place, int] = {}
        self.not_before: dict[_Place, float] = {}
        self.returned: Returns | None = None
        self._absent_since: float | None = None

    def failed(self, failure: Failure, now: float) -> None:
        """An attempt failed."""
        self.attempts += 1
        place = (failure.region, failure.to or ANY)
        self.tried[place] = self.tried.get(place, 0) + 1
        if failure.delivered == "unknown":
            self.maybe_ran = failure
        if failure.retry_after_s is not None:
            times = 2 ** min(self.tried[place] - 1, _MAX_DOUBLINGS)
            self.not_before[place] = now + failure.retry_after_s * times
        if failure.reason == "denied" and failure.region is not None:
            self.denied_regions |= {failure.region}
        if failure.reason != "no_responders":
            self._absent_since = None
        elif self._absent_since is None:
            self._absent_since = now

    def absent_s(self, now: float) -> float:
        """For how long every answer has been "no responders", in seconds."""
        return 0.0 if self._absent_since is None else now - self._absent_since


def decide(
    failure: Failure,
    state: RetryState,
    *,
    hints: Hints,
    caller_said: bool | None,
    candidates: Sequence[Candidate],
    budget: RetryBudget,
    now: float,
    deadline: float,
    random: Random,
    returns: Callable[[str], Returns] | None = None,
) -> Again | Stop:
    """What to do after `failure`, which `state` has been told of.

    Args:
        failure: how the last attempt failed.
        state: of this call.
        hints: the tool's own.
        caller_said: whether the caller says that it may run again; None: the caller says nothing.
        candidates: where it may go, in order.
        budget: of re-runs.
        now: monotonic seconds.
        deadline: of the whole call, monotonic seconds.
        random: chance.
        returns: how often calls like it may come back to a region that has refused them; None: always.
    """
    if failure.delivered == "yes":
        return Stop(failure)
    ending = Stop(state.maybe_ran or failure)
    if now >= deadline:
        return ending
    allowed = [candidate for candidate in candidates if candidate.region not in state.denied_regions]
    if failure.delivered == "unknown" and not (
        allowed and _may_rerun(failure, state, hints, caller_said, budget, now)
    ):
        return ending
    if failure.reason == "denied" and not allowed:
        return ending
    patience_s = ABSENT_S if allowed else UNLISTED_S
    if failure.reason == "no_responders" and state.absent_s(now) >= patience_s:
        return ending
    best = min(allowed, key=lambda c: state.tried.get((c.region, c.to), 0), default=None)
    delay_s = _delay(failure, state, best, now, random)
    if now + delay_s >= deadline:
        return ending
    return Again(best if _may_return(failure, state, best, returns, now) else None, delay_s)


def _may_return(
    failure: Failure,
    state: RetryState,
    best: Candidate | None,
    returns: Callable[[str], Returns] | None,
    now: float,
) -> bool:
    """Whether a call that was refused as busy may come back, or must wait as if refused once more."""
    state.returned = None
    if (
        returns is None
        or best is None
        or failure.reason != "busy"
        or (best.region, best.to) not in state.tried
    ):
        return True
    state.returned = returns(best.region)
    return state.returned.take(now)


def _may_rerun(
    failure: Failure,
    state: RetryState,
    hints: Hints,
    caller_said: bool | None,
    budget: RetryBudget,
    now: float,
) -> bool:
    if failure.reason == "deadline" or caller_said is False:
        return False
    if not (caller_said or hints.read_only or hints.idempotent):
        return False
    # Everybody who is known said that it will never run there. That proves too little for what must not run
    # twice; for what may, it is as good as "not here", and is not the one re-run.
    is_counted = failure.reason != "nobody_has_it"
    if (is_counted and state.reruns >= 1) or not budget.take(now):
        return False
    state.reruns += is_counted
    return True


def _delay(failure: Failure, state: RetryState, best: Candidate | None, now: float, random: Random) -> float:
    """At once where nobody has refused yet; with back-off where somebody has, never before they said."""
    place = (failure.region, failure.to or ANY) if best is None else (best.region, best.to)
    refused = state.tried.get(place, 0) if best is not None else state.attempts
    fresh = best is not None and refused == 0
    if (fresh or failure.delivered == "unknown") and failure.reason not in _LINK_REASONS:
        return 0.0
    asked_s = state.not_before.get(place, now) - now
    return max(_AGAIN.delay(refused, random), asked_s * (1 + _SPREAD * random()) if asked_s > 0 else 0.0)
