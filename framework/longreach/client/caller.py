"""One call: its attempts, until exactly one ending.

An attempt that is answered costs no more than `Sender` does; only what fails comes to `policy.retry`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from typing import TYPE_CHECKING, Any, TypeVar

from longreach.client import endings
from longreach.client.attempt import Request
from longreach.client.hedging import HEDGED, Hedged, Latencies, hedge
from longreach.client.options import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S
from longreach.client.plan import Outcome
from longreach.observe import event
from longreach.policy.liveness import NodeId
from longreach.policy.retry import Again, Failure, RetryState, Returns, Stop, decide
from longreach.policy.route import Candidate
from longreach.wire.subjects import ANY, is_slot

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from longreach.client.attempt import Encode, MakeHeaders
    from longreach.client.notes import OnNote
    from longreach.client.options import CallOptions
    from longreach.client.plan import CallStats, Plan, Target
    from longreach.client.sender import Sender
    from longreach.client.vigil import Vigil
    from longreach.clock import Clock
    from longreach.errors import LongreachError
    from longreach.policy.retry import RetryBudget

_log = logging.getLogger("longreach.client.caller")
_MAX_TARGETS = 10_000

R = TypeVar("R")


class Caller:
    """Makes calls, and other requests, under one via and caller.

    Args:
        sender: makes each attempt.
        vigil: knows the nodes that are stuck.
        clock: the time.
        budget: of re-runs whose first run may have happened.
        stats: counts what is done.
    """

    def __init__(
        self, sender: Sender, vigil: Vigil, clock: Clock, budget: RetryBudget, stats: CallStats
    ) -> None:
        self._sender = sender
        self._vigil = vigil
        self._clock = clock
        self._budget = budget
        self.stats = stats
        self._returns: dict[tuple[Target, str, bool], Returns] = {}
        self._latencies: dict[Target, Latencies] = {}
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._pausing: set[asyncio.Future[None]] = set()

    async def call(
        self,
        plan: Plan,
        payload: bytes,
        options: CallOptions,
        encode: Encode,
        read: Callable[[bytes, str], R | Failure],
        on_note: OnNote | None = None,
        began: float | None = None,
        headers: MakeHeaders | None = None,
    ) -> Outcome[R]:
        """Send a request, retry what may be retried, and return the result.

        Args:
            plan: what is known of the target.
            payload: what `encode` makes the body of.
            options: how.
            encode: makes the body.
            read: makes the result of (response, region), or a failure that may be retried; an error that it
                raises ends the call.
            on_note: takes the notifications that come before the response.
            began: since when its time runs, in monotonic seconds; None: now.
            headers: makes the headers of each attempt; None: there are none.

        Raises:
            LongreachError: the one ending of a call that has no result; `delivered` says whether it ran.
        """
        stats = self.stats
        stats.calls += 1
        now = self._clock.monotonic()
        timeout_s = min(options.timeout_s or plan.timeout_s or DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S)  # limit_s
        deadline = (now if began is None else began) + timeout_s
        self._budget.began()
        request = Request(plan, payload, options, encode, read, on_note, headers, deadline, timeout_s)
        try:
            answer: R | Failure
            count, lesser = 1, None
            first = plan.first if plan.pick is None else plan.pick()
            if first is not None and not self._closed:
                if options.hedges:
                    hedged = await self._hedged(request, first, now)  # by itself, so that its type is R's
                    answer, count, lesser = hedged
                else:
                    answer = await self._sender.send(request, first, now)
                if not isinstance(answer, Failure):
                    stats.answered += 1
                    return Outcome(answer, count, () if count == 1 else (HEDGED,))
            else:
                answer = Failure(delivered="no", reason=endings.NO_RESPONDERS, region=options.region)
            outcome = await self._again(request, answer, count, lesser)
        except BaseException:
            stats.failed += 1
            raise
        stats.answered += 1
        return outcome

    def close(self) -> None:
        """No more attempts; calls that wait end now, and whoever has them is told by their tasks."""
        self._closed = True
        for waiter in self._pausing:
            _wake(waiter)
        self._sender.close()

    async def _hedged(self, request: Request[R], first: Candidate, now: float) -> Hedged[R]:
        """The first attempt, and a second one where it takes long and running twice is harmless."""
        plan, options = request.plan, request.options
        latencies = self._latencies.setdefault(plan.key, Latencies())
        after_s = options.hedge_s if options.hedge_s is not None else latencies.p95_s

        def attempt(candidate: Candidate) -> Callable[[], Coroutine[Any, Any, R | Failure]]:
            return lambda: self._sender.send(request, candidate, self._clock.monotonic())

        def may() -> bool:
            if self._closed or not self._budget.take(self._clock.monotonic()):
                return False
            event(_log, "call.hedged", logging.DEBUG, target=str(plan.target), region=second.region)
            return True

        if options.idempotent is False or not plan.hints().read_only or after_s is None:
            hedged = Hedged(await attempt(first)())
        else:
            others = (c for c in plan.candidates(frozenset()) if c != first and not is_slot(c.to))
            second = next(others, first)
            hedged = await hedge([attempt(first), attempt(second)], after_s, may)
        if type(hedged.answer) is not Failure:
            latencies.add(self._clock.monotonic() - now)
            if len(self._latencies) > _MAX_TARGETS:
                self._latencies.clear()
        return hedged

    async def _again(
        self, request: Request[R], answer: R | Failure, count: int, lesser: Failure | None
    ) -> Outcome[R]:
        """What a call comes to that was not answered at its first attempt, or its first two."""
        plan, options = request.plan, request.options
        state = self._begun(answer, count, lesser)
        retries = [HEDGED] * (count - 1)
        returns = functools.partial(self._returns_to, plan.key, beside=False)
        while True:
            if not isinstance(answer, Failure):
                if state.returned is not None:
                    state.returned.taken()
                return Outcome(answer, len(retries) + 1, tuple(retries))
            if self._closed:
                ending = state.maybe_ran or answer
                closed = Failure(delivered=ending.delivered, reason=endings.CLOSED, region=ending.region)
                raise self._error(request, closed)
            now = self._clock.monotonic()
            state.failed(answer, now)
            verdict = self._beside(plan, state, answer, now) or decide(
                answer,
                state,
                hints=plan.hints(),
                caller_said=options.idempotent,
                candidates=plan.candidates(state.denied_regions),
                budget=self._budget,
                now=now,
                deadline=request.deadline,
                random=random.random,
                returns=returns,
            )
            if isinstance(verdict, Stop):
                raise self._error(request, verdict.failure)
            if verdict.delay_s > 0:
                await self._pause(verdict.delay_s)
            if self._closed:
                continue
            if verdict.candidate is None:
                if answer.delivered == "unknown":  # its re-run is granted, but nobody can take it yet
                    answer = Failure(delivered="no", reason=endings.NO_RESPONDERS, region=answer.region)
                continue
            event(
                _log, "call.retried", logging.DEBUG, target=str(plan.target), reason=answer.reason,
                region=verdict.candidate.region,
            )  # fmt: skip
            retries.append(answer.reason)
            self.stats.retried += 1
            now = self._clock.monotonic()
            candidate = self._around_stuck(plan, state, verdict.candidate)
            answer = await self._sender.send(request, candidate, now)

    def _begun(self, answer: object, count: int, lesser: Failure | None) -> RetryState:
        """Return what is known of a call beside `answer`; a hedge that may have run is its re-run."""
        state = RetryState()
        if lesser is not None:
            state.failed(lesser, self._clock.monotonic())
        if count > 1 and isinstance(answer, Failure) and answer.delivered != "no":
            state.reruns = 1
        return state

    @staticmethod
    def _error(request: Request[R], failure: Failure) -> LongreachError:
        """What a call ends in."""
        return endings.to_error(
            failure, str(request.plan.target),
            timeout_s=request.timeout_s, residency=request.options.residency,
        )  # fmt: skip

    def _beside(self, plan: Plan, state: RetryState, failure: Failure, now: float) -> Again | None:
        """Where a call goes at once that one node of its region had no room for: to another one there."""
        if failure.reason != endings.BUSY or failure.node is None or failure.region is None:
            return None
        group = Candidate(failure.region, failure.to or ANY, "")
        identity, _, instance = failure.node.rpartition(".")
        candidate = plan.detour(group, (NodeId(failure.region, identity, instance),))
        if candidate is group:
            return None
        returns = self._returns_to(plan.key, failure.region, beside=True)
        if not returns.take(now):
            return None
        state.returned = returns
        return Again(candidate, 0.0)

    def _returns_to(self, target: Target, region: str, beside: bool) -> Returns:
        returns = self._returns.get((target, region, beside))
        if returns is None:
            if len(self._returns) >= _MAX_TARGETS:
                self._returns.clear()
            returns = self._returns[target, region, beside] = Returns()
        return returns

    def _around_stuck(self, plan: Plan, state: RetryState, candidate: Candidate) -> Candidate:
        """Where a re-run goes: there is no second one, so that it must not meet a node that is stuck."""
        return candidate if state.maybe_ran is None else plan.detour(candidate, self._vigil.liveness.stuck)

    async def _pause(self, delay_s: float) -> None:
        """Wait before the next attempt; not when there will be none, because everything is closed."""
        waiter = self._loop.create_future()
        self._pausing.add(waiter)  # thousands may wait for a server that is busy: a set, where each is found
        timer = self._loop.call_later(delay_s, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._pausing.discard(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
