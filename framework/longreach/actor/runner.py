"""`Runner`: handlers run in tasks, and those that never wait share one.

A task for each call costs as much as all else that is done for a short one. So a task takes all calls that
are due, one after the other, until a handler must wait: from then on the task is that call's alone, to
cancel and to be named by `asyncio.current_task`, and each of the others gets a task of its own. Every call
has a context of its own (`contextvars`), as if it always had had its own task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

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
            except GeneratorExit:  # the loop is gone
                coro.close()
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
    """

    def __init__(self, run: Callable[[Call], Coroutine[Any, Any, None]], tasks: TaskSet) -> None:
        self._run = run
        self._tasks = tasks
        self._context = copy_context()  # every call's begins as a copy: what one sets, no other sees
        self._due: deque[Call] = deque()
        self._is_hired = False

    def start(self, call: Call) -> None:
        """Begin `call` once the event loop comes round."""
        self._due.append(call)
        if not self._is_hired:
            self._is_hired = True
            _ = self._tasks.spawn_lean(self._take_due())

    def cancel(self, call: Call) -> bool:
        """Cancel what runs `call`, which has `ended`; False: it has not begun, and never will."""
        task = call.task
        if task is None:
            return False
        _ = task.cancel()
        if not call.begun:  # a task that is cancelled before its first step never makes one
            self._tasks.done(task)
        return call.begun

    async def _take_due(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            rest = self._sweep(task)
            if rest is not None:
                await rest
        finally:
            self._tasks.done(task)

    def _sweep(self, task: asyncio.Task[None]) -> _Rest | None:
        """Run what is due, until a call must wait: what is left of that one is returned."""
        due, run, fresh = self._due, self._run, self._context.copy
        rest = None
        # A handler may cancel its own task, which must not hit the next call.
        while due and rest is None and not task.cancelling():
            call = due.popleft()
            if call.ended:
                continue
            call.task = task
            coro, context = run(call), fresh()
            try:
                rest = _Rest(coro, context.run(coro.send, None), context)
            except StopIteration:  # it never had to wait
                continue
        self._is_hired = False
        while due:
            call = due.popleft()
            if not call.ended:
                call.task = self._tasks.spawn_lean(self._run_alone(call), fresh())
        return rest

    async def _run_alone(self, call: Call) -> None:
        try:
            await self._run(call)
        finally:
            assert call.task is not None
            self._tasks.done(call.task)
