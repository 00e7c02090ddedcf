"""Questions about calls and about the node: whose, alive, cancel, who, blobs, drain, and so on.

Each is one small JSON message with a reply subject like a request's, and is answered in the same way:
only to the asker that the broker vouches for, and only about that asker's own calls.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from longreach.errors import LongreachError
from longreach.observe import event
from longreach.wire import frames
from longreach.wire.parts import PART, PUT, PartRequest, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.clock import Clock
    from longreach.node.announcer import Announcer
    from longreach.node.intake import Intake
    from longreach.node.replies import Replies, ReplyRoute
    from longreach.policy.calls import CallBook
    from longreach.tasks import TaskSet
    from longreach.transport.link import Headers, Sink

_log = logging.getLogger("longreach.node.control")


class Control:
    """Answers control verbs of one node.

    Args:
        replies: builds reply subjects and sends.
        book: knows the calls.
        intake: holds the running ones.
        announcer: answers `who` and `blobs`.
        clock: the time.
        tasks: owns answers that wait for their jitter.
        me: (identity, instance, region) as configured.
        info: makes the answer to `info`.
        drain: starts the drain.
        canary: changes a canary's share of calls.
    """

    def __init__(
        self,
        replies: Replies,
        book: CallBook,
        intake: Intake,
        announcer: Announcer,
        clock: Clock,
        tasks: TaskSet,
        *,
        me: tuple[str, str, str],
        info: Callable[[], frames.InfoReply],
        drain: Callable[[], None],
        canary: Callable[[frames.CanaryRequest], frames.CanaryReply],
    ) -> None:
        self._replies = replies
        self._book = book
        self._intake = intake
        self._announcer = announcer
        self._clock = clock
        self._tasks = tasks
        self._identity, self._instance, self._region = me
        self._info = info
        self._drain = drain
        self._canary = canary
        self._verbs: dict[str, Callable[[ReplyRoute, bytes], None]] = {
            "alive": self._alive,
            "cancel": self._cancel,
            "blobs": self._blobs,
            "who": self._who,
            "drain": self._drain_verb,
            "info": self._info_verb,
            "canary": self._canary_verb,
            PART: self._part,
            PUT: self._put,
        }

    def sink(self, asker_at: int, verbs: frozenset[str]) -> Sink:
        """A sink for subjects whose tokens `asker_at` and `asker_at` + 1 are via and caller.

        The verb is the token after them, or `who` where there is none.
        """

        def take(subject: str, reply: str, data: bytes, _: Headers | None) -> None:
            parts = subject.split(".")
            via, caller = parts[asker_at], parts[asker_at + 1]
            verb = parts[asker_at + 2] if len(parts) > asker_at + 2 else "who"
            route = self._replies.route(reply, via, caller)
            if route is None or verb not in verbs:
                event(_log, "question.refused", logging.WARNING, subject=subject)
                return
            self._book.heard(route.scope, self._clock.monotonic())
            try:
                if verb == "whose":  # only in `all.`, where the server's token comes before the asker's
                    self._whose(route, data, parts[asker_at - 1])
                else:
                    self._verbs[verb](route, data)
            except msgspec.DecodeError as error:  # the asker's mistake, and only it is hurt
                event(_log, "question.malformed", logging.WARNING, subject=subject, reason=str(error))
            except LongreachError as error:  # an answer that no message holds, as the asker has it
                event(_log, "question.unanswered", logging.WARNING, subject=subject, reason=str(error))

        return take

    def _alive(self, route: ReplyRoute, data: bytes) -> None:
        asked = frames.decode(data, frames.AliveRequest).calls
        gone = self._book.alive(route.scope, asked, self._clock.monotonic())
        if self._intake.large is not None and len(self._intake.large.results):
            for call in asked:
                self._intake.large.results.asked_about(f"{route.scope}.{call}")
        self._answer(
            route, frames.AliveReply(self._identity, self._instance, list(gone), self._clock.wall_ms())
        )

    def _whose(self, route: ReplyRoute, data: bytes, server_token: str) -> None:
        asked = frames.decode(data, frames.WhoseRequest).calls
        now, clock_ms = self._clock.monotonic(), self._clock.wall_ms()
        have, done = self._book.whose(route.scope, asked, now)
        remembers_s = self._book.remembers_s(now)
        self._answer(
            route,
            frames.WhoseReply(
                self._identity,
                self._instance,
                self._region,
                list(have),
                list(done),
                clock_ms,
                msgspec.UNSET if asked else self._announcer.announcement_of(server_token),
                msgspec.UNSET if remembers_s is None else max(0, clock_ms - int(remembers_s * 1000)),
            ),
        )

    def _cancel(self, route: ReplyRoute, data: bytes) -> None:
        asked = frames.decode(data, frames.CancelRequest)
        now = self._clock.monotonic()
        for key in self._book.cancel(route.scope, asked.calls, now):
            self._intake.stop(key, "cancelled")

    def _part(self, route: ReplyRoute, data: bytes) -> None:
        asked, _ = unpack(data, PartRequest)
        if self._announcer.has(asked.call):
            self._announcer.give_part(route, asked)
        elif self._intake.large is not None:
            self._intake.large.results.give(route, data)

    def _put(self, route: ReplyRoute, data: bytes) -> None:
        if self._intake.large is not None:
            self._intake.large.requests.put(route, data)

    def _blobs(self, route: ReplyRoute, data: bytes) -> None:
        self._announcer.answer_blobs(route, frames.decode(data, frames.BlobsRequest).digests)

    def _who(self, route: ReplyRoute, _: bytes) -> None:
        if self._announcer.may_answer_who(route.scope):
            self._tasks.start(self._announcer.answer_who(route), name="who")

    def _drain_verb(self, route: ReplyRoute, _: bytes) -> None:
        self._answer(route, frames.DrainReply("draining"))
        self._drain()

    def _canary_verb(self, route: ReplyRoute, data: bytes) -> None:
        self._answer(route, self._canary(frames.decode(data, frames.CanaryRequest)))

    def _info_verb(self, route: ReplyRoute, _: bytes) -> None:
        self._answer(route, self._info())

    def _answer(self, route: ReplyRoute, reply: msgspec.Struct) -> None:
        self._replies.send(route, msgspec.json.encode(reply))
