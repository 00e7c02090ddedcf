"""Which call a legacy server means when it asks something on a channel that does not say so.

On pipes, a legacy server's question names no request; over HTTP, some servers ask on the stream that belongs
to none. A wrong guess would ask one caller what was meant for another. So nothing is guessed. A question
belongs to the only call that runs; where several run, it waits until all but one of those that ran when it
came have ended; and as soon as a server has asked once, its calls run one at a time. A call that waits for
its caller's answer does not run, and lets others pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from longreach_bridge.foreign.calls import Ask, ForeignCall

_MAX_WAITING = 64
_WAIT_S = 30.0

Deliver = Callable[[Ask, ForeignCall | None], None]
"""Told whose question it is; None: it could not be told."""


class _Question:
    def __init__(self, ask: Ask, candidates: set[ForeignCall]) -> None:
        self.ask = ask
        self.candidates = candidates
        self.timer: asyncio.TimerHandle | None = None


class Lanes:
    """Knows which calls run, and finds out whose a question is.

    Args:
        deliver: told each question.
        wait_s: how long a question may be without an owner, in seconds.

    Attributes:
        one_at_a_time: the server has asked before; one call runs at a time.
    """

    def __init__(self, deliver: Deliver, wait_s: float = _WAIT_S) -> None:
        self._deliver = deliver
        self._wait_s = wait_s
        self.one_at_a_time = False
        self._running: set[ForeignCall] = set()
        self._questions: list[_Question] = []
        self._free = asyncio.Condition()

    @property
    def only(self) -> ForeignCall | None:
        """The one call that runs; None if it is not one."""
        return next(iter(self._running)) if len(self._running) == 1 else None

    async def enter(self, call: ForeignCall) -> None:
        """`call` runs from now on; waits for its turn."""
        async with self._free:
            await self._free.wait_for(lambda: not (self.one_at_a_time and self._running))
            self._running.add(call)

    async def leave(self, call: ForeignCall) -> None:
        """`call` runs no more: it has ended, or waits for its caller."""
        self._running.discard(call)
        self._settle(call)
        async with self._free:
            self._free.notify_all()

    def ask(self, ask: Ask) -> None:
        """Find out whose question this is."""
        self.one_at_a_time = True
        candidates = set(self._running)
        if len(candidates) == 1:
            self._deliver(ask, candidates.pop())
        elif not candidates or len(self._questions) >= _MAX_WAITING:
            self._deliver(ask, None)
        else:
            question = _Question(ask, candidates)
            question.timer = asyncio.get_running_loop().call_later(self._wait_s, self._give_up, question)
            self._questions.append(question)

    def clear(self) -> None:
        """Forget everything: the server is gone."""
        for question in self._questions:
            if question.timer is not None:
                question.timer.cancel()
        self._questions.clear()
        self._running.clear()

    def _settle(self, gone: ForeignCall) -> None:
        for question in tuple(self._questions):
            question.candidates.discard(gone)
            if len(question.candidates) == 1:
                self._close(question, question.candidates.pop())

    def _give_up(self, question: _Question) -> None:
        self._close(question, None)

    def _close(self, question: _Question, owner: ForeignCall | None) -> None:
        with suppress(ValueError):
            self._questions.remove(question)
        if question.timer is not None:
            question.timer.cancel()
        self._deliver(question.ask, owner)
