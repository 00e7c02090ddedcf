"""Watching over calls that are not answered yet: the acting side of `policy.liveness`.

The policy decides whom to ask and what is lost; here the questions are asked, the answers passed on,
and the lost calls ended. One timer for all calls; it sleeps while every call is young.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from longreach.errors import LongreachError
from longreach.observe import event
from longreach.policy.liveness import AskAlive, AskWhose, Liveness, Lost, NodeId
from longreach.wire import frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from longreach.client.inbox import Answer
    from longreach.client.questions import Questions
    from longreach.clock import Clock

_log = logging.getLogger("longreach.client.vigil")
_ANSWERS_FOR_S = 10.0


class Vigil:
    """Drives one `Liveness`.

    Args:
        liveness: decides.
        questions: asks.
        clock: the time.
        on_lost: ends a lost call.
        on_tick: told the time at each look, which comes at least once in the life of each call of 0.4 s.
    """

    def __init__(
        self,
        liveness: Liveness,
        questions: Questions,
        clock: Clock,
        on_lost: Callable[[Lost], None],
        on_tick: Callable[[float], None],
    ) -> None:
        self.liveness = liveness
        self._questions = questions
        self._clock = clock
        self._on_lost = on_lost
        self._on_tick = on_tick
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self._asked: list[tuple[float, str]] = []
        self._closed = False

    def wake(self, now: float) -> None:
        """A call was sent, or accepted, at `now`: see to it that the timer fires by the time it is due."""
        if self._due > now + self.liveness.patience_s and not self._closed:
            self._arm()

    def wake_now(self) -> None:
        """Something is due at once."""
        if not self._closed:
            self._arm()

    def close(self) -> None:
        """Stop, for good."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.monotonic()
        due = self.liveness.next_tick(now)
        if due is None and self._asked:  # nobody waits any more, but answers are still listened for
            due = self._asked[0][0] + _ANSWERS_FOR_S
        self._due = float("inf") if due is None else due
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(due - now, 0.002), self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            self._look(self._clock.monotonic())
        finally:  # whatever one call does, the others are watched
            if not self._closed:
                self._arm()

    def _look(self, now: float) -> None:
        self._on_tick(now)
        for action in self.liveness.tick(now):
            match action:
                case AskAlive(probe, node, calls):
                    self._ask_alive(probe, node, calls)
                case AskWhose(probe, server, region, calls):
                    self._ask_whose(probe, server, region, calls)
                case Lost():
                    self._on_lost(action)
        self._forget_old(now)

    def _forget_old(self, now: float) -> None:
        keep = 0
        for asked_at, token in self._asked:
            if asked_at + _ANSWERS_FOR_S > now:
                break
            self._questions.inbox.forget(token)
            keep += 1
        del self._asked[:keep]

    def _ask_alive(self, probe: int, node: NodeId, calls: Sequence[str]) -> None:
        subject = self._questions.node_subject(node.region, node.identity, node.instance, "alive")
        body = msgspec.json.encode(frames.AliveRequest(list(calls)))
        self._ask(subject, body, partial(self._alive_answered, probe, node))

    def _ask_whose(self, probe: int, server: str, region: str, calls: Sequence[str]) -> None:
        subject = self._questions.all_subject(region, server, "whose")
        body = msgspec.json.encode(frames.WhoseRequest(list(calls)))
        self._ask(subject, body, partial(self._whose_answered, probe, region, tuple(calls)))

    def _ask(self, subject: str, body: bytes, on_answer: Callable[[Answer], None]) -> None:
        now = self._clock.monotonic()
        token = self._questions.inbox.new_token(self._clock.wall_ms() + int(_ANSWERS_FOR_S * 1000))
        self._questions.inbox.gather(token, on_answer)
        self._asked.append((now, token))
        try:
            self._questions.post(subject, body, token)
        except LongreachError as error:  # our own link: the policy is told of its loss apart from this
            event(_log, "question.unsent", logging.DEBUG, subject=subject, reason=str(error))

    def _alive_answered(self, probe: int, node: NodeId, answer: Answer) -> None:
        now = self._clock.monotonic()
        if answer is None:
            self.liveness.no_responders(probe, now)
        else:
            try:
                reply = frames.decode(answer, frames.AliveReply)
            except msgspec.DecodeError as error:
                event(_log, "answer.malformed", logging.WARNING, node=str(node), reason=str(error))
                return
            self.liveness.alive_reply(node, reply.gone, now, probe=probe)
        self.wake_now()

    def _whose_answered(self, probe: int, region: str, asked: tuple[str, ...], answer: Answer) -> None:
        now = self._clock.monotonic()
        if answer is None:
            self.liveness.no_responders(probe, now)
        else:
            try:
                reply = frames.decode(answer, frames.WhoseReply)
            except msgspec.DecodeError as error:
                event(_log, "answer.malformed", logging.WARNING, reason=str(error))
                return
            # Not the region that it says: what is asked from now on must stay where the calls went.
            node = NodeId(region, reply.identity, reply.instance)
            self.liveness.whose_reply(node, reply.have, reply.done, asked, now, remembers_s=reply.remembers_s)
        self.wake_now()
