"""`Runner`: handlers run in tasks, and those that never wait share one.

A task for each call costs as much as all else that is done for a short one. So a task takes all calls that
are due, one after the other, until a handler must wait: from then on the task is that call's alone, to
cancel and to be named by `asyncio.current_task`, and further tasks take the others. Every call has a context
of its own (`contextvars`), as if it always had had its own task.

A call that ends frees a slot, and the slot's next call is due at once: a mailbox of 250 calls would run in
one turn of the loop. So what is run counts against the turn that all actors of a loop share
(`longreach.turns`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from longreach.turns import Turn, turn_of

if TYPE_CHECKING:
    from longreach.actor.call import Call
    from longreach.tasks import TaskSet


class _Rest:
    """What is left of a coroutine that waits for `waited`, to be awaited in its context."""

    __slots__ = ("_context", "_coro", "_waited")

    def __init__(self, coro: Coroutine[Any, Any, None], waited: Any, context: Context) -> None:
        self._coro = coro
        self._waited = waited
        self._context = context

    def __await__(self) -> Generator[Any, Any, None]:
        coro, waited, run = self._coro, self._waited, self._context.run
        while True:
            try:
                sent = yield waited
            except GeneratorExit:  # the loop is gone, or what is awaited raises it: see `_take_due`
                run(coro.close)
                raise
            except BaseException as error:  # noqa: BLE001 - it is thrown into the handler
                step: Callable[[Any], Any] = coro.throw
                value: Any = error
            else:
                step, value = coro.send, sent
            try:
                waited = run(step, value)
            except StopIteration:
                return


class Runner:
    """Runs the calls of one actor.

    Args:
        run: makes a call's coroutine, which says that the call has `begun` and lets nothing out.
        tasks: own the tasks.
        now: tells the time, in monotonic seconds.
    """

    def __init__(
        self,
        run: Callable[[Call], Coroutine[Any, Any, None]],
        tasks: TaskSet,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._tasks = tasks
        self._now = now
        self._turn: Turn | None = None
        self._context = copy_context()  # every call's begins as a copy: what one sets, no other sees
        self._due: deque[Call] = deque()
        self._hired = 0  # tasks that take what is due

    def start(self, call: Call) -> None:
        """Begin `call` once the event loop comes round."""
        self._due.append(call)
        if not self._hired:
            self._hire(1)

    def cancel(self, call: Call) -> bool:
        """Cancel what runs `call`, which has `ended`; False: it has not begun, and never will."""
        task = call.task
        if task is None:
            return False
        _ = task.cancel()
        return call.begun

    def _hire(self, count: int) -> None:
        for _ in range(count):
            _ = self._tasks.spawn_lean(self._take_due())
        self._hired += count

    def _leave(self) -> None:
        """One task takes no more calls; others take what is left, each until one of its calls must wait."""
        self._hired -= 1
        left = len(self._due) - self._hired
        if left > 0 and not self._tasks.closed:
            self._hire(left)

    async def _take_due(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        turn = self._turn
        if turn is None:
            turn = self._turn = turn_of(asyncio.get_running_loop())
        try:
            rest = None
            try:
                # A handler may cancel its own task, which must not hit the next call.
                while self._due and rest is None and not task.cancelling():
                    if turn.is_over:
                        await turn.place()
                    rest = self._sweep(task, turn)
            except asyncio.CancelledError:
                self._leave()
                raise
            self._leave()
            if rest is not None:
                await rest
        except GeneratorExit:
            # asyncio throws what a future holds into its task, and a GeneratorExit closes all that it goes
            # through on its way here. The call has ended by now, or the loop is gone.
            pass
        finally:
            self._tasks.done(task)

    def _sweep(self, task: asyncio.Task[None], turn: Turn) -> _Rest | None:
        """Run what is due until the turn is over, or a call must wait: what is left of that is returned."""
        due, run, fresh, now = self._due, self._run, self._context.copy, self._now
        began = at = now()
        until = began + turn.left_s
        rest = None
        while due and rest is None and at < until and not task.cancelling():
            call = due.popleft()
            if call.ended:
                continue
            call.task = task
            coro, context = run(call), fresh()
            try:
                rest = _Rest(coro, context.run(coro.send, None), context)
            except StopIteration:  # it never had to wait
                rest = None
            at = now()
        turn.spend(at - began)
        return rest
