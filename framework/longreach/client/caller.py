"""One call: its attempts, each with a reply subject of its own, until exactly one ending.

The client's hot path. An attempt that is answered at once costs a dictionary entry, a future and one
message; only what fails comes to `policy.retry`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from longreach.client import endings
from longreach.client.inbox import Waiter
from longreach.client.options import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, CallOptions, OnProgress
from longreach.client.results import BAD_JSON, RawResult, decode_response
from longreach.errors import LongreachError, RemoteError
from longreach.observe import event
from longreach.policy.liveness import Lost, NodeId
from longreach.policy.retry import Failure, RetryState, Stop, decide
from longreach.wire import codes, frames, jsonrpc
from longreach.wire.subjects import ROOT, check_subject
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.client.inbox import Inbox
    from longreach.client.questions import Questions
    from longreach.client.vigil import Vigil
    from longreach.clock import Clock
    from longreach.policy.hints import Hints
    from longreach.policy.retry import RetryBudget
    from longreach.policy.route import Candidate
    from longreach.transport.link import Link

_log = logging.getLogger("longreach.client.caller")
_YOUNG_S = 0.3
"""An attempt that is younger needs no timer yet; the vigil looks at those that are older."""
_SHORT_S = 1.0
"""An attempt with less time than this gets its timer at once."""
_MAX_WAYS = 10_000
_META = msgspec.json.encode(
    {
        "io.modelcontextprotocol/protocolVersion": codes.PROTOCOL_VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "longreach", "version": "0.1.0"},
    }
)


class Target(NamedTuple):
    """What is called: names, not tokens."""

    server: str
    tool: str

    def __str__(self) -> str:
        return f"{self.server}.{self.tool}"


class Plan(NamedTuple):
    """What is known about a target before it is called; made anew when the catalog changes."""

    target: Target
    first: Candidate | None
    candidates: Callable[[frozenset[str]], tuple[Candidate, ...]]
    hints: Callable[[], Hints]
    timeout_s: float | None
    name_json: bytes


class Outcome(NamedTuple):
    """A call that was answered: the result, how many attempts it took, and why those before failed."""

    result: RawResult
    attempts: int
    retries: tuple[str, ...]


class CallStats(msgspec.Struct):
    """What a mesh has done so far."""

    calls: int = 0
    answered: int = 0
    failed: int = 0
    attempts: int = 0
    retried: int = 0


class Way(NamedTuple):
    """What is the same in all attempts at a target in a region: the subject, and the reply's beginning."""

    subject: str
    reply_base: str


class _Attempt(Waiter):
    """One message on its way, and who has it."""

    __slots__ = ("caller", "deadline", "node", "on_progress", "region", "sent_at", "subject", "timer")

    def __init__(
        self, token: str, future: asyncio.Future[Any], caller: Caller, subject: str, region: str,
        on_progress: OnProgress | None, sent_at: float, deadline: float,
    ) -> None:  # fmt: skip
        self.token = token
        self.future = future
        self.caller = caller
        self.subject = subject
        self.region = region
        self.on_progress = on_progress
        self.sent_at = sent_at
        self.deadline = deadline
        self.node: NodeId | None = None
        self.timer: asyncio.TimerHandle | None = None

    def frame(self, kind: str, body: bytes) -> None:
        """Take a frame; those of kinds that are not known are ignored."""
        if kind == "accepted":
            self.caller.accepted(self, body)
        elif kind == "note" and self.on_progress is not None:
            pass_progress(self.on_progress, body)

    def end(self, failure: Failure) -> None:
        """End it without an answer."""
        if not self.future.done():
            self.future.set_result(failure)  # type: ignore[arg-type]


class Caller:
    """Makes calls over one link.

    Args:
        link: the connection.
        inbox: where answers arrive.
        questions: for cancels.
        vigil: watches over calls that take their time.
        clock: the time.
        budget: of re-runs whose first run may have happened.
        namespace: namespace token.
        via: the `via` token of this client.
        caller: the `caller` token of this client.
        skew_ms: how far ahead the nodes' clocks may be, to be allowed for in deadlines.
    """

    def __init__(
        self,
        link: Link,
        inbox: Inbox,
        questions: Questions,
        vigil: Vigil,
        clock: Clock,
        budget: RetryBudget,
        *,
        namespace: str,
        via: str,
        caller: str,
        skew_ms: Callable[[], int],
    ) -> None:
        self._link = link
        self._inbox = inbox
        self._questions = questions
        self._vigil = vigil
        self._clock = clock
        self._budget = budget
        self._base = f"{ROOT}.{namespace}."
        self._asker = f".{via}.{caller}.tools-call."
        self._skew_ms = skew_ms
        self._attempts: dict[str, _Attempt] = {}
        self._ways: dict[tuple[Target, Candidate], Way] = {}
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._closed = False
        self.stats = CallStats()

    async def call(
        self, plan: Plan, arguments: bytes, options: CallOptions, began: float | None = None
    ) -> Outcome:
        """Call, retry what may be retried, and return the result.

        Args:
            plan: what is known of the tool.
            arguments: JSON.
            options: how.
            began: since when its time runs, in monotonic seconds; None: now.

        Raises:
            LongreachError: the one ending of a call that has no result; `delivered` says whether it ran.
        """
        stats = self.stats
        stats.calls += 1
        now = self._clock.monotonic()
        timeout_s = min(options.timeout_s or plan.timeout_s or DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S)
        deadline = (now if began is None else began) + timeout_s
        self._budget.began()
        try:
            answer: RawResult | Failure | LongreachError
            if plan.first is not None and not self._closed:
                answer = await self._attempt(plan, plan.first, arguments, options, now, deadline)
                if type(answer) is RawResult:
                    stats.answered += 1
                    return Outcome(answer, 1, ())
            else:
                answer = Failure(delivered="no", reason=endings.NO_RESPONDERS, region=options.region)
            outcome = await self._again(plan, arguments, options, deadline, timeout_s, answer)
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
        for attempt in tuple(self._attempts.values()):
            attempt.end(Failure(delivered="unknown", reason=endings.CLOSED, region=attempt.region))

    def denied(self, subject: str) -> None:
        """The broker refused to publish on `subject`, which it names in lower case."""
        for attempt in tuple(self._attempts.values()):
            if attempt.subject == subject:
                attempt.end(Failure(delivered="no", reason=endings.DENIED, region=attempt.region))

    async def _again(
        self,
        plan: Plan,
        arguments: bytes,
        options: CallOptions,
        deadline: float,
        timeout_s: float,
        answer: RawResult | Failure | LongreachError,
    ) -> Outcome:
        state = RetryState()
        retries: list[str] = []
        while True:
            if isinstance(answer, RawResult):
                return Outcome(answer, len(retries) + 1, tuple(retries))
            if isinstance(answer, LongreachError):
                raise answer
            if self._closed:
                ending = state.maybe_ran or answer
                closed = Failure(delivered=ending.delivered, reason=endings.CLOSED, region=ending.region)
                raise endings.to_error(
                    closed, str(plan.target), timeout_s=timeout_s, residency=options.residency
                )
            now = self._clock.monotonic()
            state.failed(answer, now)
            verdict = decide(
                answer,
                state,
                hints=plan.hints(),
                caller_said=options.idempotent,
                candidates=plan.candidates(state.denied_regions),
                budget=self._budget,
                now=now,
                deadline=deadline,
                random=random.random,
            )
            if isinstance(verdict, Stop):
                raise endings.to_error(
                    verdict.failure, str(plan.target), timeout_s=timeout_s, residency=options.residency
                )
            if verdict.delay_s > 0:
                await asyncio.sleep(verdict.delay_s)
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
            answer = await self._attempt(plan, verdict.candidate, arguments, options, now, deadline)

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
        arguments: bytes,
        options: CallOptions,
        now: float,
        deadline: float,
    ) -> RawResult | Failure | LongreachError:
        left_s = deadline - now
        deadline_ms = self._clock.wall_ms() + int(left_s * 1000) + self._skew_ms()
        token = self._inbox.new_token(deadline_ms)
        way = self._ways.get((plan.target, candidate)) or self._new_way(plan.target, candidate)
        attempt = _Attempt(
            token, self._loop.create_future(), self, way.subject, candidate.region, options.on_progress, now,
            deadline,
        )  # fmt: skip
        body = self._body(plan.name_json, arguments, token if options.on_progress else None)
        try:
            self._link.send(way.subject, body, way.reply_base + token)
        except LongreachError as error:
            return endings.from_refusal(error, candidate.region)
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
            self._cancel(attempt, plan.target.server)
            raise
        finally:
            if attempt.timer is not None:
                attempt.timer.cancel()
            self._inbox.forget(token)
            self._attempts.pop(token, None)
            self._vigil.liveness.ended(token)
        if type(answer) is bytes:
            return self._read(answer, candidate.region)
        if answer is None:
            return Failure(delivered="no", reason=endings.NO_RESPONDERS, region=candidate.region)
        if answer.reason in (endings.DEADLINE, endings.CLOSED):
            self._cancel(attempt, plan.target.server)
        return answer  # type: ignore[no-any-return]

    def _set_timer(self, attempt: _Attempt, now: float) -> None:
        failure = Failure(delivered="unknown", reason=endings.DEADLINE, region=attempt.region)
        attempt.timer = self._loop.call_later(max(0.0, attempt.deadline - now), attempt.end, failure)

    def _new_way(self, target: Target, candidate: Candidate) -> Way:
        region = encode_token(candidate.region)
        subject = (
            f"{self._base}{region}.req.{encode_token(target.server)}.{candidate.to}"
            f"{self._asker}{encode_token(target.tool)}"
        )
        check_subject(subject)
        if len(self._ways) > _MAX_WAYS:
            self._ways.clear()
        way = self._ways[target, candidate] = Way(subject, self._inbox.reply_base(region))
        return way

    def _body(self, name_json: bytes, arguments: bytes, progress_token: str | None) -> bytes:
        self._count += 1
        meta = _META
        if progress_token is not None:
            meta = b'%s,"progressToken":"%s"}' % (_META[:-1], progress_token.encode())
        return (
            b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%s,"arguments":%s,"_meta":%s}}'
            % (self._count, name_json, arguments, meta)
        )

    def _read(self, answer: bytes, region: str) -> RawResult | Failure | LongreachError:
        try:
            response = decode_response(answer)
        except RemoteError as error:
            return error
        return response if isinstance(response, RawResult) else endings.from_error(response, region)

    def _cancel(self, attempt: _Attempt, server: str) -> None:
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

    def accepted(self, attempt: _Attempt, body: bytes) -> None:
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


def pass_progress(on_progress: OnProgress, body: bytes) -> None:
    """Hand a progress notification to the user's function; what that raises is logged, and is its own."""
    try:
        note = jsonrpc.decode_notification(body)
        if note.method != "notifications/progress":
            return
        params = msgspec.json.decode(note.params)
        progress, total, message = params["progress"], params.get("total"), params.get("message")
    except (jsonrpc.Malformed, *BAD_JSON, KeyError, TypeError, AttributeError) as error:
        event(_log, "frame.malformed", logging.WARNING, reason=str(error))
        return
    try:
        on_progress(progress, total, message)
    except Exception:  # noqa: BLE001 - the user's function, called from within the read loop
        _log.exception("progress.failed")
