"""Watching over calls that are not answered yet: the acting side of `policy.liveness`.

The policy decides whom to ask and what is lost; here the questions are asked, the answers passed on,
and the lost calls ended. One timer for all calls of all askers of a connection; it sleeps while every call
is young. Answers are only noted: one look, 2 ms after the first, acts on all that have come by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from longreach.client.inbox import Waiter
from longreach.errors import LongreachError
from longreach.listeners import guard
from longreach.observe import event
from longreach.policy.liveness import Action, AskAlive, AskWhose, Liveness, Lost, NodeId, Place
from longreach.turns import Drain
from longreach.wire import frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from longreach.client.inbox import Answer, Inbox
    from longreach.client.questions import Questions
    from longreach.clock import Clock

_log = logging.getLogger("longreach.client.vigil")
_ANSWERS_FOR_S = 10.0
_MIN_WAIT_S = 0.002
_QUESTIONS = (".alive", ".whose")
_NOBODY = msgspec.json.encode(frames.AliveRequest([]))


class Watched(NamedTuple):
    """An asker whose calls are watched.

    Attributes:
        questions: asks in its name.
        on_lost: ends a lost call.
        on_slow: told each call that nobody has accepted in the time in which calls are usually answered.
    """

    questions: Questions
    on_lost: Callable[[Lost], None]
    on_slow: Callable[[str], None]


class _Asked(NamedTuple):
    """A question whose answers are listened for, and what it asks about."""

    at: float
    inbox: Inbox
    token: str
    subject: str
    about: NodeId | Place
    asker: str


class _Alive(Waiter):
    """The question to one node whether it has calls; it has one answer."""

    __slots__ = ("_node", "_probe", "_vigil")

    def __init__(self, token: str, vigil: Vigil, probe: int, node: NodeId) -> None:
        self.token = token
        self._vigil = vigil
        self._probe = probe
        self._node = node

    def answer(self, answer: Answer) -> bool:
        """It came; nothing more is expected."""
        self._vigil.alive_answered(self._probe, self._node, answer)
        return True

    def give_up(self) -> None:
        """Nobody waits for it."""


class Vigil:
    """Drives one `Liveness`.

    Args:
        liveness: decides.
        clock: the time.
        on_died: told each node that is dead.
        home: the asker that asks about nodes where nobody has calls.
    """

    def __init__(
        self, liveness: Liveness, clock: Clock, on_died: Callable[[NodeId], None], home: str = ""
    ) -> None:
        self.liveness = liveness
        self.home = home
        self._clock = clock
        self._on_died = on_died
        self._askers: dict[str, Watched] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self._asked: deque[_Asked] = deque()
        self._todo: deque[Action] = deque()
        self._work = Drain(self._act_on_one, clock.monotonic)
        self._closed = False

    def watch(self, asker: str, watched: Watched) -> None:
        """Watch over the calls that are sent as those of `asker`."""
        self._askers[asker] = watched

    def unwatch(self, asker: str) -> None:
        """Nobody waits for the calls of `asker` any more."""
        self._askers.pop(asker, None)

    def wake(self, now: float) -> None:
        """A call was sent, or accepted, at `now`: see to it that the timer fires by the time it is due."""
        if self._due > now + self.liveness.patience_s and not self._closed:
            self._arm()

    def wake_now(self) -> None:
        """Something may be due at once."""
        if not self._closed:
            self._arm()

    def search(self, calls: Iterable[str], now: float) -> None:
        """Search for calls now, which may not have reached anybody."""
        self.liveness.search(calls, now)
        self.wake_now()

    def denied(self, subject: str) -> None:
        """The broker refused to publish on `subject`: if that was a question, silence says nothing."""
        if not subject.endswith(_QUESTIONS):
            return
        for asked in reversed(self._asked):
            if asked.subject == subject:
                self.liveness.not_asked(asked.about, self._clock.monotonic(), asked.asker)
                self.wake_now()
                return

    def close(self) -> None:
        """Stop, for good."""
        self._closed = True
        self._work.stop()
        self._todo.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def alive_answered(self, probe: int, node: NodeId, answer: Answer) -> None:
        """A node was asked whether it has calls, and this is what came."""
        now = self._clock.monotonic()
        if answer is None:
            self.liveness.no_responders(probe, now)
            self._heard(now, is_news=True)
            return
        try:
            reply = frames.decode(answer, frames.AliveReply)
        except msgspec.DecodeError as error:
            event(_log, "answer.malformed", logging.WARNING, node=str(node), reason=str(error))
            return
        self.liveness.alive_reply(node, reply.gone, now, probe=probe)
        self._heard(now, is_news=bool(reply.gone))

    def _heard(self, now: float, *, is_news: bool) -> None:
        """An answer was noted; look soon if there is something to do about it.

        An answer that tells nothing new moves no due time forward, so that the timer stays as it is.
        """
        if (is_news or self.liveness.has_news) and self._due > now + _MIN_WAIT_S:
            self.wake_now()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.monotonic()
        due = self.liveness.next_tick(now)
        if due is None and self._asked:  # nobody waits any more, but answers are still listened for
            due = self._asked[0].at + _ANSWERS_FOR_S
        self._due = float("inf") if due is None else due
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(due - now, _MIN_WAIT_S), self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            self._look(self._clock.monotonic())
        finally:  # whatever one call does, the others are watched
            if not self._closed:
                self._arm()

    def _look(self, now: float) -> None:
        actions = self.liveness.tick(now)
        for asker, call in self.liveness.slow():
            watched = self._askers.get(asker)
            if watched is not None:
                guard("slow call", watched.on_slow, call)
        self._todo += actions
        self._work.run()
        self._forget_old(now)

    def _act_on_one(self) -> bool:
        """Ask one question, or end one call; whether there are more.

        In slices: a dead node may have had ten thousand calls, and whoever waits for one goes on at its end.
        Each by itself: the policy says it once, so that what one raises must not take another's verdict.
        """
        if not self._todo:
            return False
        guard("liveness", self._act, self._todo.popleft())
        return bool(self._todo)

    def _act(self, action: Action) -> None:
        match action:
            case AskAlive(probe, node, calls, asker):
                self._ask_alive(probe, node, calls, asker or self.home)
            case AskWhose(probe, server, region, calls, asker):
                self._ask_whose(probe, (server, region), calls, asker)
            case Lost():
                self._lost(action)

    def _lost(self, loss: Lost) -> None:
        if not loss.call:
            if loss.node is not None:
                self._on_died(loss.node)
            return
        watched = self._askers.get(loss.asker)
        if watched is not None:
            watched.on_lost(loss)

    def _forget_old(self, now: float) -> None:
        asked = self._asked
        while asked and asked[0].at + _ANSWERS_FOR_S <= now:
            old = asked.popleft()
            old.inbox.forget(old.token)

    def _ask_alive(self, probe: int, node: NodeId, calls: Sequence[str], asker: str) -> None:
        watched = self._askers.get(asker)
        if watched is None:
            return
        questions = watched.questions
        subject = questions.node_subject(node.region, node.identity, node.instance, "alive")
        body = msgspec.json.encode(frames.AliveRequest(list(calls))) if calls else _NOBODY
        token = self._new_token(questions)
        questions.inbox.add(_Alive(token, self, probe, node))
        self._post(questions, subject, body, token, node, asker)

    def _ask_whose(self, probe: int, place: tuple[str, str], calls: Sequence[str], asker: str) -> None:
        watched = self._askers.get(asker)
        if watched is None:
            return
        questions, (server, region) = watched.questions, place
        subject = questions.all_subject(region, server, "whose")
        body = msgspec.json.encode(frames.WhoseRequest(list(calls)))
        token = self._new_token(questions)
        questions.inbox.gather(token, partial(self._whose_answered, probe, region, tuple(calls)))
        self._post(questions, subject, body, token, place, asker)

    def _new_token(self, questions: Questions) -> str:
        return questions.inbox.new_token(self._clock.wall_ms() + int(_ANSWERS_FOR_S * 1000))

    def _post(
        self, questions: Questions, subject: str, body: bytes, token: str, about: NodeId | Place, asker: str
    ) -> None:
        self._asked.append(_Asked(self._clock.monotonic(), questions.inbox, token, subject, about, asker))
        try:
            questions.post(subject, body, token)
        except LongreachError as error:  # our own link: the policy is told of its loss apart from this
            event(_log, "question.unsent", logging.DEBUG, subject=subject, reason=str(error))

    def _whose_answered(self, probe: int, region: str, asked: tuple[str, ...], answer: Answer) -> None:
        now = self._clock.monotonic()
        if answer is None:
            self.liveness.no_responders(probe, now)
            self._heard(now, is_news=True)
            return
        try:
            reply = frames.decode(answer, frames.WhoseReply)
        except msgspec.DecodeError as error:
            event(_log, "answer.malformed", logging.WARNING, reason=str(error))
            return
        # Not the region that it says: what is asked from now on must stay where the calls went.
        node = NodeId(region, reply.identity, reply.instance)
        self.liveness.whose_reply(node, reply.have, reply.done, asked, now, remembers_s=reply.remembers_s)
        self._heard(now, is_news=bool(reply.have))
