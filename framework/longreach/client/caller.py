"""One call: its attempts, each with a reply subject of its own, until exactly one ending.

The client's hot path. An attempt that is answered at once costs a dictionary entry, a future and one
message; only what fails comes to `policy.retry`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from longreach.client import endings
from longreach.client.attempt import Attempt, Way
from longreach.client.hedging import HEDGED, Latencies, hedge
from longreach.client.options import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S
from longreach.client.plan import Outcome
from longreach.errors import LongreachError, TooLarge
from longreach.observe import event
from longreach.policy.liveness import Lost, NodeId
from longreach.policy.retry import Again, Failure, RetryState, Returns, Stop, decide
from longreach.policy.route import Candidate
from longreach.wire import frames
from longreach.wire.parts import PULL
from longreach.wire.subjects import ANY, ROOT, check_subject, is_slot, method_token
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from longreach.client.attempt import Encode, MakeHeaders
    from longreach.client.bodies import Bodies
    from longreach.client.health import Health
    from longreach.client.inbox import Inbox
    from longreach.client.notes import OnNote
    from longreach.client.options import CallOptions
    from longreach.client.plan import CallStats, Plan, Target
    from longreach.client.questions import Questions
    from longreach.client.vigil import Vigil
    from longreach.clock import Clock
    from longreach.policy.breaker import Breaker
    from longreach.policy.retry import RetryBudget
    from longreach.transport.link import Link

_log = logging.getLogger("longreach.client.caller")
_YOUNG_S = 0.3
"""An attempt that is younger needs no timer yet; the vigil looks at those that are older."""
_SHORT_S = 1.0
"""An attempt with less time than this gets its timer at once."""
_MAX_WAYS = 10_000

R = TypeVar("R")


class Caller:
    """Makes calls, and other requests, under one via and caller.

    Args:
        link: the connection.
        inbox: where answers arrive.
        questions: for cancels.
        vigil: watches over calls that take their time.
        clock: the time.
        budget: of re-runs whose first run may have happened.
        health: of the routes.
        namespace: namespace token.
        via: the `via` token of this client.
        caller: the `caller` token of this client.
        skew_ms: how far ahead the nodes' clocks may be, to be allowed for in deadlines.
        stats: counts what is done.
        on_place: told the server and region of each new way, before anything is sent there.
        bodies: those that no message holds.
    """

    def __init__(
        self,
        link: Link,
        inbox: Inbox,
        questions: Questions,
        vigil: Vigil,
        clock: Clock,
        budget: RetryBudget,
        health: Health,
        *,
        namespace: str,
        via: str,
        caller: str,
        skew_ms: Callable[[], int],
        stats: CallStats,
        on_place: Callable[[str, str], None],
        bodies: Bodies,
    ) -> None:
        self._link = link
        self._inbox = inbox
        self._questions = questions
        self._vigil = vigil
        self._clock = clock
        self._budget = budget
        self._health = health
        self._base = f"{ROOT}.{namespace}."
        self._asker = f".{via}.{caller}."
        self._skew_ms = skew_ms
        self._attempts: dict[str, Attempt] = {}
        self._ways: dict[tuple[Target, Candidate], Way] = {}
        self._returns: dict[tuple[Target, str, bool], Returns] = {}
        self._latencies: dict[Target, Latencies] = {}
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._closed = False
        self._pausing: set[asyncio.Future[None]] = set()
        self.stats = stats
        self._on_place = on_place
        self._bodies = bodies

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
        try:
            answer: R | Failure
            first = plan.first if plan.pick is None else plan.pick()
            if first is not None and not self._closed:
                if options.hedges:
                    answer, count = await self._hedged(
                        plan, first, payload, options, encode, read, on_note, now, deadline, headers
                    )
                else:
                    answer = await self._attempt(
                        plan, first, payload, options, encode, read, on_note, now, deadline, headers
                    )
                    count = 1
                if not isinstance(answer, Failure):
                    stats.answered += 1
                    return Outcome(answer, count, () if count == 1 else (HEDGED,))
            else:
                answer = Failure(delivered="no", reason=endings.NO_RESPONDERS, region=options.region)
            outcome = await self._again(
                plan, payload, options, encode, read, on_note, deadline, timeout_s, answer, headers
            )
        except BaseException:
            stats.failed += 1
            raise
        stats.answered += 1
        return outcome

    def lost(self, loss: Lost) -> None:
        """Liveness gave a call up."""
        attempt = self._attempts.get(loss.call)
        if attempt is not None:
            failure = Failure(delivered=loss.delivered, reason=loss.reason, region=attempt.region)
            attempt.end(failure)

    def close(self) -> None:
        """No more attempts; calls that wait end now, and whoever has them is told by their tasks."""
        self._closed = True
        for waiter in self._pausing:
            _wake(waiter)
        for attempt in tuple(self._attempts.values()):
            attempt.end(Failure(delivered="unknown", reason=endings.CLOSED, region=attempt.region))

    def denied(self, subject: str) -> None:
        """The broker refused to publish on `subject`, which it names in lower case."""
        for attempt in tuple(self._attempts.values()):
            if attempt.subject == subject:
                attempt.end(Failure(delivered="no", reason=endings.DENIED, region=attempt.region))

    async def _hedged(
        self,
        plan: Plan,
        first: Candidate,
        payload: bytes,
        options: CallOptions,
        encode: Encode,
        read: Callable[[bytes, str], R | Failure],
        on_note: OnNote | None,
        now: float,
        deadline: float,
        headers: MakeHeaders | None,
    ) -> tuple[R | Failure, int]:
        """The first attempt, and a second one where it takes long and running twice is harmless."""
        latencies = self._latencies.setdefault(plan.target, Latencies())
        after_s = options.hedge_s if options.hedge_s is not None else latencies.p95_s

        def attempt(candidate: Candidate) -> Callable[[], Coroutine[Any, Any, R | Failure]]:
            return lambda: self._attempt(
                plan, candidate, payload, options, encode, read, on_note, self._clock.monotonic(), deadline,
                headers,
            )  # fmt: skip

        def may() -> bool:
            if self._closed or not self._budget.take(self._clock.monotonic()):
                return False
            event(_log, "call.hedged", logging.DEBUG, target=str(plan.target), region=second.region)
            return True

        if options.idempotent is False or not plan.hints().read_only or after_s is None:
            answer, count = await attempt(first)(), 1
        else:
            others = (c for c in plan.candidates(frozenset()) if c != first and not is_slot(c.to))
            second = next(others, first)
            answer, count = await hedge([attempt(first), attempt(second)], after_s, may)
        if type(answer) is not Failure:
            latencies.add(self._clock.monotonic() - now)
            if len(self._latencies) > _MAX_WAYS:
                self._latencies.clear()
        return answer, count

    async def _again(
        self,
        plan: Plan,
        payload: bytes,
        options: CallOptions,
        encode: Encode,
        read: Callable[[bytes, str], R | Failure],
        on_note: OnNote | None,
        deadline: float,
        timeout_s: float,
        answer: R | Failure,
        headers: MakeHeaders | None,
    ) -> Outcome[R]:
        state = RetryState()
        retries: list[str] = []
        returns = functools.partial(self._returns_to, plan.target, beside=False)
        while True:
            if not isinstance(answer, Failure):
                if state.returned is not None:
                    state.returned.taken()
                return Outcome(answer, len(retries) + 1, tuple(retries))
            if self._closed:
                ending = state.maybe_ran or answer
                closed = Failure(delivered=ending.delivered, reason=endings.CLOSED, region=ending.region)
                raise endings.to_error(
                    closed, str(plan.target), timeout_s=timeout_s, residency=options.residency
                )
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
                deadline=deadline,
                random=random.random,
                returns=returns,
            )
            if isinstance(verdict, Stop):
                raise endings.to_error(
                    verdict.failure, str(plan.target), timeout_s=timeout_s, residency=options.residency
                )
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
            answer = await self._attempt(
                plan, candidate, payload, options, encode, read, on_note, now, deadline, headers
            )

    def _beside(self, plan: Plan, state: RetryState, failure: Failure, now: float) -> Again | None:
        """Where a call goes at once that one node of its region had no room for: to another one there."""
        if failure.reason != endings.BUSY or failure.node is None or failure.region is None:
            return None
        group = Candidate(failure.region, failure.to or ANY, "")
        identity, _, instance = failure.node.rpartition(".")
        candidate = plan.detour(group, (NodeId(failure.region, identity, instance),))
        if candidate is group:
            return None
        returns = self._returns_to(plan.target, failure.region, beside=True)
        if not returns.take(now):
            return None
        state.returned = returns
        return Again(candidate, 0.0)

    def _returns_to(self, target: Target, region: str, beside: bool) -> Returns:
        returns = self._returns.get((target, region, beside))
        if returns is None:
            if len(self._returns) >= _MAX_WAYS:
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

    def limit(self, now: float) -> None:
        """Give each attempt that takes its time a timer for its deadline; fast ones need none."""
        self._limit(now, now - _YOUNG_S)

    def limit_all(self, now: float) -> None:
        """The link is down, and nobody looks at calls until it is back: each needs a timer of its own."""
        self._limit(now, now)

    def _limit(self, now: float, sent_by: float) -> None:
        for attempt in self._attempts.values():
            if attempt.sent_at > sent_by:
                return
            if attempt.timer is None:
                self._set_timer(attempt, now)

    async def _attempt(
        self,
        plan: Plan,
        candidate: Candidate,
        payload: bytes,
        options: CallOptions,
        encode: Encode,
        read: Callable[[bytes, str], R | Failure],
        on_note: OnNote | None,
        now: float,
        deadline: float,
        headers: MakeHeaders | None,
    ) -> R | Failure:
        left_s = deadline - now
        deadline_ms = self._clock.wall_ms() + int(left_s * 1000) + self._skew_ms()
        token = self._inbox.new_token(deadline_ms)
        way = self._ways.get((plan.target, candidate)) or self._new_way(plan.target, candidate)
        attempt = Attempt(
            token, self._loop.create_future(), self, way.subject, candidate.region, on_note, now, deadline
        )
        self._count += 1
        body = encode(self._count, plan, payload, token if on_note is not None else None, options.meta)
        try:
            if headers is None:  # nearly always
                self._link.send(way.subject, body, way.reply_base + token)
            else:
                self._link.send(way.subject, body, way.reply_base + token, headers())
        except LongreachError as error:
            refused = await self._offer(way, attempt, body, error, headers)
            if refused is not None:
                return refused._replace(to=candidate.to)
            read = self._bodies.refusing(token, read)
        self.stats.attempts += 1
        self._inbox.add(attempt)
        self._attempts[token] = attempt
        self._vigil.liveness.sent(token, plan.target.server, candidate.region, now)
        self._vigil.wake(now)
        if left_s < _SHORT_S:
            self._set_timer(attempt, now)
        try:
            answer: Any = await attempt.future
        except asyncio.CancelledError:
            way.breaker.given_up()
            self._cancel(attempt, plan.target.server)
            raise
        finally:
            if attempt.timer is not None:
                attempt.timer.cancel()
            self._inbox.forget(token)
            self._attempts.pop(token, None)
            self._vigil.liveness.ended(token)
        if type(answer) is bytes:
            return self._read(answer, read, attempt, candidate, way.breaker)
        return self._failed(answer, plan, attempt, candidate, way.breaker)

    def _failed(
        self, answer: Any, plan: Plan, attempt: Attempt, candidate: Candidate, breaker: Breaker
    ) -> Failure:
        """That there was no response; and what that says of the route."""
        if answer is None:
            answer = Failure(delivered="no", reason=endings.NO_RESPONDERS, region=candidate.region)
        elif answer.reason in (endings.DEADLINE, endings.CLOSED):
            self._cancel(attempt, plan.target.server)
        elif answer.reason == endings.DENIED:
            self._health.refused(str(plan.target), candidate.region)
        failure: Failure = answer._replace(to=candidate.to)
        self._health.lost(breaker, failure, self._clock.monotonic() - attempt.sent_at)
        return failure

    async def _offer(
        self,
        way: Way,
        attempt: Attempt,
        body: bytes,
        error: LongreachError,
        headers: MakeHeaders | None,
    ) -> Failure | None:
        """Offer a request in parts that the link refused; the failure, if that is not why, or no use.

        Raises:
            TooLarge: it is too large even so.
        """
        try:
            if not isinstance(error, TooLarge):
                raise error
            more = None if headers is None else headers()
            await self._bodies.offer(attempt, body, way.reply_base + attempt.token, error, more)
        except LongreachError as refusal:
            way.breaker.given_up()
            return endings.from_refusal(refusal, attempt.region)
        except asyncio.CancelledError:
            way.breaker.given_up()
            raise
        return None

    def _read(
        self,
        answer: bytes,
        read: Callable[[bytes, str], R | Failure],
        attempt: Attempt,
        candidate: Candidate,
        breaker: Breaker,
    ) -> R | Failure:
        """What was answered; and what that says of the route."""
        try:
            result = read(answer, candidate.region)
        except LongreachError as error:
            error.node = attempt.node_name
            if breaker.works():
                self._health.moved(breaker)
            raise
        if type(result) is Failure:
            if breaker.works():
                self._health.moved(breaker)
            return result._replace(to=candidate.to, node=result.node or attempt.node_name)
        if breaker.answered(self._clock.monotonic() - attempt.sent_at):
            self._health.moved(breaker)
        return result

    def _set_timer(self, attempt: Attempt, now: float) -> None:
        failure = Failure(delivered="unknown", reason=endings.DEADLINE, region=attempt.region)
        attempt.timer = self._loop.call_later(max(0.0, attempt.deadline - now), attempt.end, failure)

    def _new_way(self, target: Target, candidate: Candidate) -> Way:
        region = encode_token(candidate.region)
        subject = (
            f"{self._base}{region}.req.{encode_token(target.server)}.{candidate.to}"
            f"{self._asker}{method_token(target.method)}.{target.name_token}"
        )
        check_subject(subject)
        self._on_place(target.server, candidate.region)
        if len(self._ways) > _MAX_WAYS:
            self._ways.clear()
        breaker = self._health.breaker(target.server, candidate.region, candidate.to)
        way = self._ways[target, candidate] = Way(subject, self._inbox.reply_base(region), breaker)
        return way

    def _cancel(self, attempt: Attempt, server: str) -> None:
        """Tell whoever has the call that nobody waits for it any more."""
        node = attempt.node
        if node is not None:
            subject = self._questions.node_subject(node.region, node.identity, node.instance, "cancel")
        else:
            subject = self._questions.all_subject(attempt.region, server, "cancel")
        body = msgspec.json.encode(frames.CancelRequest([attempt.token]))
        try:
            self._questions.post(subject, body, self._inbox.new_token(0))
        except LongreachError as error:
            event(_log, "cancel.unsent", logging.DEBUG, call=attempt.token, reason=str(error))

    def accepted(self, attempt: Attempt, body: bytes) -> None:
        """A node says that it has the call."""
        try:
            who = frames.decode(body, frames.Accepted)
        except msgspec.DecodeError as error:
            event(_log, "frame.malformed", logging.WARNING, call=attempt.token, reason=str(error))
            return
        # Not the region that it says: what is asked from now on must stay where the call went.
        attempt.node = NodeId(attempt.region, who.identity, who.instance)
        now = self._clock.monotonic()
        self._vigil.liveness.accepted(attempt.token, attempt.node, now)
        self._vigil.wake(now)

    def part(self, attempt: Attempt, kind: str, body: bytes) -> None:
        """A node offers its result in parts, or asks for a part of the request."""
        self.accepted(attempt, body.partition(b"\n")[0])  # it says who it is
        try:
            if kind == PULL:
                self._bodies.put(attempt, body)
            else:
                self._bodies.fetch(attempt, body)
        except msgspec.DecodeError as error:
            event(_log, "frame.malformed", logging.WARNING, call=attempt.token, reason=str(error))

    def never_whole(self, attempt: Attempt) -> bool:
        """Whether the request went in parts, and not all of them: then it did not begin, and never will."""
        upload = self._bodies.upload(attempt.token)
        return upload is not None and not upload.is_whole


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
