"""Attempts: each is a message with a reply subject of its own, until its answer or failure.

The client's hot path. An attempt that is answered at once costs a dictionary entry, a future and one message.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from longreach.client import endings
from longreach.client.attempt import Attempt, Way
from longreach.errors import LongreachError, TooLarge
from longreach.observe import event
from longreach.policy.denials import Denials
from longreach.policy.liveness import Lost, NodeId
from longreach.policy.retry import Failure
from longreach.wire import frames
from longreach.wire.parts import PULL
from longreach.wire.subjects import ROOT, check_subject, method_token
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from longreach.client.attempt import MakeHeaders, Request
    from longreach.client.bodies import Bodies
    from longreach.client.health import Health
    from longreach.client.inbox import Inbox
    from longreach.client.plan import CallStats, Plan, Target
    from longreach.client.questions import Questions
    from longreach.client.vigil import Vigil
    from longreach.clock import Clock
    from longreach.errors import Delivered
    from longreach.policy.breaker import Breaker
    from longreach.policy.route import Candidate
    from longreach.transport.link import Link

_log = logging.getLogger("longreach.client.sender")
_SHORT_S = 1.0
"""An attempt with less time gets its timer at once; others get it when they are accepted or searched for."""
_MAX_WAYS = 10_000

R = TypeVar("R")


class Sender:
    """Makes attempts under one via and caller.

    Args:
        link: the connection.
        inbox: where answers arrive.
        questions: for cancels.
        vigil: watches over calls that take their time.
        clock: the time.
        health: of the routes.
        namespace: namespace token.
        via: the `via` token of this client.
        caller: the `caller` token of this client.
        skew_ms: how far ahead the nodes' clocks may be, to be allowed for in deadlines.
        stats: counts what is done.
        bodies: those that no message holds.
    """

    def __init__(
        self,
        link: Link,
        inbox: Inbox,
        questions: Questions,
        vigil: Vigil,
        clock: Clock,
        health: Health,
        *,
        namespace: str,
        via: str,
        caller: str,
        skew_ms: Callable[[], int],
        stats: CallStats,
        bodies: Bodies,
    ) -> None:
        self._link = link
        self._inbox = inbox
        self._questions = questions
        self._vigil = vigil
        self._clock = clock
        self._health = health
        self._base = f"{ROOT}.{namespace}."
        self._asker = f".{via}.{caller}."
        self._skew_ms = skew_ms
        self._stats = stats
        self._bodies = bodies
        self._watched_as = inbox.connection
        self._attempts: dict[str, Attempt] = {}
        self._denials = Denials()
        self._violations: dict[str, int] = {}
        self._ways: dict[tuple[Target, Candidate], Way] = {}
        self._loop = asyncio.get_running_loop()
        self._count = 0

    async def send(self, request: Request[R], candidate: Candidate, now: float) -> R | Failure:
        """Make one attempt, and wait for what becomes of it.

        Args:
            request: what is asked.
            candidate: where.
            now: the time, in monotonic seconds.

        Raises:
            LongreachError: what `request.read` raises of an answer that ends the call.
        """
        plan, on_note, headers, read = request.plan, request.on_note, request.headers, request.read
        left_s = request.deadline - now
        deadline_ms = self._clock.wall_ms() + int(left_s * 1000) + self._skew_ms()
        token = self._inbox.new_token(deadline_ms)
        way = self._ways.get((plan.key, candidate)) or self._new_way(plan.key, candidate)
        attempt = Attempt(
            token,
            self._loop.create_future(),
            self,
            way.subject,
            candidate.region,
            on_note,
            now,
            request.deadline,
        )
        self._count += 1
        body = request.encode(
            self._count, plan, request.payload, token if on_note is not None else None, request.options.meta
        )
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
            now = attempt.sent_at = self._clock.monotonic()  # packing took its time: nothing was on its way
            left_s = request.deadline - now
        self._stats.attempts += 1
        self._inbox.add(attempt)
        self._attempts[token] = attempt
        self._vigil.liveness.sent(token, plan.target.server, candidate.region, now, self._watched_as)
        self._vigil.wake(now)
        if left_s < _SHORT_S:
            self._set_timer(attempt, now)
        try:
            answer: Any = await attempt.future
        except asyncio.CancelledError:
            way.breaker.given_up()
            self._given_up(attempt)
            self._cancel(attempt, plan.target.server)
            raise
        finally:
            if attempt.timer is not None:
                attempt.timer.cancel()
            self._inbox.forget(token)
            self._attempts.pop(token, None)
            self._vigil.liveness.ended(token)
        if type(answer) is bytes:
            if not self._denials.is_idle:
                self._settled(attempt)
            return self._read(answer, read, attempt, candidate, way.breaker)
        return self._failed(answer, plan, attempt, candidate, way.breaker)

    def lost(self, loss: Lost) -> None:
        """Liveness gave a call up."""
        attempt = self._attempts.get(loss.call)
        if attempt is not None:
            reason: str = loss.reason
            if loss.delivered == "no" and self._denials.never_ran(attempt.token, attempt.subject):
                reason = endings.DENIED
            attempt.end(Failure(delivered=loss.delivered, reason=reason, region=attempt.region))

    def close(self) -> None:
        """Attempts that wait end now, and whoever has them is told by their tasks."""
        for attempt in tuple(self._attempts.values()):
            attempt.end(Failure(delivered="unknown", reason=endings.CLOSED, region=attempt.region))

    def denied(self, subject: str) -> None:
        """The broker refused to publish one message on `subject`, which it names in lower case.

        Attempts that must be meant end as `no`. Where others may be meant, all that may be are searched for.
        Violations of one turn of the loop are looked at together: a look costs as much as there are attempts.
        """
        count = self._violations.get(subject, 0)
        self._violations[subject] = count + 1
        if not count:
            self._loop.call_soon(self._rule_on, subject)

    def _rule_on(self, subject: str) -> None:
        now = self._clock.monotonic()
        count = self._violations.pop(subject)
        waiting = [a.token for a in self._attempts.values() if a.subject == subject and a.node is None]
        ruling = self._denials.violated(subject, count, waiting, now)
        self._refuse(ruling.refused)
        if ruling.in_doubt:
            event(_log, "violation.in_doubt", subject=subject, calls=len(ruling.in_doubt))
            self._vigil.search(ruling.in_doubt, now)

    def _refuse(self, tokens: Iterable[str]) -> None:
        for token in tokens:
            attempt = self._attempts.get(token)
            if attempt is not None:
                attempt.end(Failure(delivered="no", reason=endings.DENIED, region=attempt.region))

    def _settled(self, attempt: Attempt) -> None:
        """It was answered or accepted, or has a violation of its own: any other is about another attempt."""
        self._refuse(self._denials.cleared(attempt.token, attempt.subject))

    def _given_up(self, attempt: Attempt) -> None:
        """Nobody waits for it any more: if nobody has it, a violation may still be about it."""
        if attempt.node is None:
            self._denials.given_up(attempt.token, attempt.subject, self._clock.monotonic())

    def limit(self, call: str) -> None:
        """Give an attempt that takes its time a timer for its deadline; fast ones need none."""
        attempt = self._attempts.get(call)
        if attempt is not None and attempt.timer is None:
            self._set_timer(attempt, self._clock.monotonic())

    def limit_all(self, now: float) -> None:
        """The link is down, and nobody looks at calls until it is back: each needs a timer of its own."""
        for attempt in self._attempts.values():
            if attempt.timer is None:
                self._set_timer(attempt, now)

    def _failed(
        self, answer: Any, plan: Plan, attempt: Attempt, candidate: Candidate, breaker: Breaker
    ) -> Failure:
        """That there was no response; and what that says of the route."""
        if answer is None:
            self._settled(attempt)
            # A node that said it has the call is proof that somebody heard it.
            delivered: Delivered = "no" if attempt.node is None else "unknown"
            answer = Failure(delivered, endings.NO_RESPONDERS, candidate.region, node=attempt.node_name)
        elif answer.reason == endings.DENIED:
            self._settled(attempt)
            self._health.refused(str(plan.target), candidate.region)
        else:
            self._given_up(attempt)
            if answer.reason in (endings.DEADLINE, endings.CLOSED):
                self._cancel(attempt, plan.target.server)
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
        except TimeoutError:
            way.breaker.given_up()
            return Failure(delivered="no", reason=endings.DEADLINE, region=attempt.region)
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
        self._settled(attempt)
        now = self._clock.monotonic()
        if attempt.timer is None:
            self._set_timer(attempt, now)
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
