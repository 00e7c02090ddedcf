"""Owned tasks: nothing runs that nobody waits for.

A `TaskSet` owns every task spawned in it: it keeps a strong reference, reports what a task raised to its
owner, and cancels and awaits all that is left when it is closed. Unlike `asyncio.TaskGroup`, one task's
failure is reported and leaves its siblings alone: what to do about it is the owner's decision.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from longreach.observe import event

_log = logging.getLogger("longreach.tasks")


def _log_failure(name: str, error: BaseException) -> None:
    _log.error("task.failed", extra={"event_fields": {"task": name}}, exc_info=error)


class TaskSet:
    """The tasks of one owner.

    Args:
        name: for logs.
        on_error: called with (task name, exception) when a task fails; by default it is logged.
    """

    def __init__(self, name: str, on_error: Callable[[str, BaseException], None] = _log_failure) -> None:
        self.name = name
        self._on_error = on_error
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def closed(self) -> bool:
        """Whether it starts no more tasks."""
        return self._closed

    def spawn(self, coro: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        """Run `coro` as a task of this set; after `close` it is refused."""
        if self._closed:
            coro.close()
            raise RuntimeError(f"{self.name} is closed and starts no more tasks")
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def spawn_lean(self, coro: Coroutine[Any, Any, Any], context: Context | None = None) -> asyncio.Task[Any]:
        """`spawn` for the hot path: `coro` lets no exception out, and calls `done` as its last step.

        A task's done-callback costs as much as the task; this does without.
        """
        if self._closed:
            coro.close()
            raise RuntimeError(f"{self.name} is closed and starts no more tasks")
        task = asyncio.get_running_loop().create_task(coro, context=context)
        self._tasks.add(task)
        return task

    def done(self, task: asyncio.Task[Any]) -> None:
        """A task from `spawn_lean` is about to end."""
        self._tasks.discard(task)

    def start(self, coro: Coroutine[Any, Any, Any], name: str | None = None) -> None:
        """`spawn`, where nobody wants the task itself: this set waits for it."""
        _ = self.spawn(coro, name)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(task.get_name(), error)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Cancel what still runs and wait for it, at most `timeout_s`; what stays is logged by name."""
        self._closed = True
        current = asyncio.current_task()
        left = {task for task in self._tasks if task is not current}
        for task in left:
            task.cancel()
        if left:
            _, stuck = await asyncio.wait(left, timeout=timeout_s)
            for task in stuck:
                event(_log, "task.stuck", logging.WARNING, task=task.get_name(), owner=self.name)
