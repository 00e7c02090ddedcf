"""What happens to a call that takes its time: the accepted frame, and the caller that fell silent.

One timer for all calls of the node; while each call is answered within 250 ms it costs one comparison
per call.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from longreach.observe import event
from longreach.policy.calls import ACCEPTED_AFTER_S
from longreach.turns import Drain
from longreach.wire.frames import HEADER

if TYPE_CHECKING:
    from longreach.clock import Clock
    from longreach.node.intake import Intake
    from longreach.node.replies import Replies
    from longreach.policy.calls import CallBook

_log = logging.getLogger("longreach.node.watch")
_ACCEPTED = {HEADER: "accepted"}
_MIN_WAIT_S = 0.005


class SlowCalls:
    """Tells callers of slow calls who has them, and cancels the calls of callers that went silent.

    Args:
        book: knows what is due.
        replies: sends the frames.
        clock: the time.
        accepted: the body of the accepted frame, which names this node.
    """

    def __init__(self, book: CallBook, replies: Replies, clock: Clock, accepted: bytes) -> None:
        self._book = book
        self._replies = replies
        self._clock = clock
        self._accepted = accepted
        self._intake: Intake | None = None
        self._slow: deque[str] = deque()
        self._silent: deque[str] = deque()
        self._work = Drain(self._one, clock.monotonic)
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self._closed = False

    def watch(self, intake: Intake) -> None:
        """The calls to watch over are those of `intake`."""
        self._intake = intake

    def wake(self, now: float) -> None:
        """A call was taken at `now`: see to it that the timer fires by the time it is due."""
        if self._due > now + ACCEPTED_AFTER_S and not self._closed:
            self._arm()

    def close(self) -> None:
        """Stop the timer, for good."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.monotonic()
        due = self._book.next_due(now)
        self._due = float("inf") if due is None else due
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(due - now, _MIN_WAIT_S), self._tick)

    def _tick(self) -> None:
        self._timer = None
        intake = self._intake
        if intake is None or self._closed:
            return
        try:
            self._look(intake, self._clock.monotonic())
        finally:  # whatever one call does, the others are watched
            self._arm()

    def _look(self, intake: Intake, now: float) -> None:
        self._slow += self._book.due_accepted(now)
        self._silent += self._book.silent_calls(now)
        self._work.run()

    def _one(self) -> bool:
        """Look at one call; whether there are more."""
        intake = self._intake
        if intake is None or self._closed:
            return False
        if self._slow:
            self._accept(intake, self._slow.popleft())
        elif self._silent:
            key = self._silent.popleft()
            taken = intake.calls.get(key)
            if taken is not None:
                event(_log, "caller.silent", logging.WARNING, call=taken.route.call, what=taken.spec.id)
            intake.stop(key, "caller_silent")
        return bool(self._slow or self._silent)

    def _accept(self, intake: Intake, key: str) -> None:
        taken = intake.calls.get(key)
        if taken is None:
            route = self._replies.waiting(key)  # it has ended, and its response waits for the link
            if route is not None and route.frames:
                self._replies.frame(route, self._accepted, _ACCEPTED)
            return
        self._replies.frame(taken.route, self._accepted, _ACCEPTED)
        if taken.timer is None:
            intake.limit(taken)
