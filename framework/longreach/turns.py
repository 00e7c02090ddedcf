"""No turn of the event loop takes longer than a budget and one message, or one handler.

A callback that works until its queue is empty holds the loop for as long as there is work: 250 calls of 25 ms
stopped a node for 6.3 s, in which it told nobody that it had them, and all of them were given up. So whatever
drains a queue stops after `BUDGET_S` and comes back through the loop, behind all else that is due:

- `Turn` is shared by all that run handlers on one loop: fifty actors with a call each take the budget of one;
- `Drain` works a queue off from callbacks;
- who has a task of its own compares times and awaits `asyncio.sleep(0)`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

BUDGET_S = 0.005
"""Of the budgets that were tried with 250 calls of 25 ms CPU, this one answered all; a turn of a loop under
plain load takes about as long."""
_NOTICED_S = 0.0002
"""What takes less is not counted: counting costs a callback, and a fast call takes 0.03 ms."""
_MOST_AT_ONCE = 256
_MOST_FAILURES = 100
"""So many steps may raise one after the other: one that raises before it took its piece off would never
end."""


class Turn:
    """What is left of one loop's budget in this turn (`left_s`), and who waits for the next one, in order.

    Args:
        loop: the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.left_s = BUDGET_S
        self._renewing = False
        self._was_spent = False  # since the renewal was asked for
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._back: list[asyncio.Future[None]] = []
        self._at_once = 1

    @property
    def is_over(self) -> bool:
        """Whether to wait for a `place` before anything is run."""
        return self.left_s <= 0 or bool(self._waiting)

    def spend(self, seconds: float) -> None:
        """Count what was run in this turn."""
        if seconds >= _NOTICED_S:
            self.left_s -= seconds
            self._was_spent = self._renewing
            self._renew_soon()

    async def place(self) -> None:
        """Wait for a turn with something left, behind all who wait already."""
        place: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(place)
        self._renew_soon()
        await place
        while self.left_s <= 0:  # those who were let in together with this one have used it up
            place = self._loop.create_future()
            self._back.append(place)
            self._renew_soon()
            await place

    def _renew_soon(self) -> None:
        if not self._renewing:
            self._renewing = True
            self._loop.call_soon(self._renew)

    def _renew(self) -> None:
        """A new turn: let in as many as fitted last time, and twice that where something was left.

        Where something was spent in this very turn of the loop, before this callback, the new turn begins
        with the next one: else what comes after it here would have a whole budget again.
        """
        if self._was_spent:
            self._was_spent = False
            self._loop.call_soon(self._renew)
            return
        self._renewing = False
        self._at_once = 1 if self.left_s <= 0 else min(2 * self._at_once, _MOST_AT_ONCE)
        self.left_s = BUDGET_S
        self._waiting.extendleft(reversed(self._back))
        self._back.clear()
        let_in = 0
        while self._waiting and let_in < self._at_once:
            place = self._waiting.popleft()
            if not place.done():  # else who waited was cancelled
                place.set_result(None)
                let_in += 1
        if let_in:
            self._renew_soon()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turn] = WeakKeyDictionary()


def turn_of(loop: asyncio.AbstractEventLoop) -> Turn:
    """Return the turn that all handlers on `loop` share."""
    turn = _turns.get(loop)
    if turn is None:
        turn = _turns[loop] = Turn(loop)
    return turn


class Drain:
    """Works a queue off: a slice at once, and one in each further turn of the loop until nothing is left.

    What a step raises goes to whoever ran the slice (the caller of `run`, or the loop), and the rest is
    worked off in the next turn. After 100 steps that raised one after the other, it waits for the next `run`.

    Args:
        step: does one piece of work; returns whether there is more to do now.
        now: tells the time, in seconds.
        budget_s: how long a slice may take, and one step longer.
    """

    def __init__(
        self,
        step: Callable[[], bool],
        now: Callable[[], float] = time.monotonic,
        budget_s: float = BUDGET_S,
    ) -> None:
        self._step = step
        self._now = now
        self._budget_s = budget_s
        self._handle: asyncio.Handle | None = None
        self._working = False
        self._failures = 0

    def run(self) -> None:
        """Begin, unless a slice is due already."""
        if self._handle is None and not self._working:
            self._failures = 0
            self._slice()

    def stop(self) -> None:
        """Do nothing more until `run`."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _slice(self) -> None:
        self._handle = None
        self._working = True
        until = self._now() + self._budget_s
        try:
            while self._step():
                self._failures = 0
                if self._now() >= until:
                    self._handle = asyncio.get_running_loop().call_soon(self._slice)
                    return
        except Exception:
            self._failures += 1
            if self._failures < _MOST_FAILURES:
                self._handle = asyncio.get_running_loop().call_soon(self._slice)
            raise
        finally:
            self._working = False
