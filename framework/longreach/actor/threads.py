"""Threads for plain `def` handlers.

A thread cannot be stopped, so a cancelled call only abandons it, and is told when it has really ended. The
threads are daemons: one that hangs in a handler keeps its slot, and keeps neither the node nor the
interpreter from ending. (Those of `concurrent.futures` and anyio are joined at exit.)
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Job = Callable[[], None]

_IDLE_S = 10.0
"""How long a thread without work is kept."""


class _Worker(threading.Thread):
    def __init__(self, pool: ThreadPool) -> None:
        super().__init__(name="longreach handler", daemon=True)
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._pool = pool

    def run(self) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=_IDLE_S)
            except queue.Empty:
                if self._pool.retire(self):
                    return
                continue
            job()
            del job  # what a handler was given must not live on in an idle thread
            self._pool.rest(self)


class ThreadPool:
    """As many threads as there are jobs; idle ones are used again. How many jobs there are, others limit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def submit(self, job: Job) -> None:
        """Run `job`, which must not raise, in a thread."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None:
            worker.jobs.put(job)
            return
        worker = _Worker(self)
        worker.jobs.put(job)
        worker.start()

    def rest(self, worker: _Worker) -> None:
        """`worker` has nothing to do."""
        with self._lock:
            self._idle.append(worker)

    def retire(self, worker: _Worker) -> bool:
        """Whether `worker` may end: not if a job is on its way to it."""
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
                return True
            return False


_POOL = ThreadPool()


async def run_in_thread(
    function: Callable[..., Any], kwargs: dict[str, Any], on_end: Callable[[], None]
) -> Any:
    """Run `function` in a thread, in a copy of the current context.

    A cancel returns at once and abandons the thread.

    Args:
        function: a plain function.
        kwargs: its arguments.
        on_end: called once in the event loop when the function has really ended, or will never begin.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()
    turn = threading.Lock()  # taken once: by the thread as it begins, or by a cancel that came before that

    def deliver(value: Any, error: BaseException | None) -> None:
        on_end()
        if future.done():
            return
        if error is None:
            future.set_result(value)
        elif isinstance(error, StopIteration):  # which a future refuses to carry
            future.set_exception(RuntimeError(f"the handler raised {error!r}"))
        else:
            future.set_exception(error)

    def job() -> None:
        if not turn.acquire(blocking=False):
            return
        value, error = None, None
        try:
            value = context.run(lambda: function(**kwargs))
        except BaseException as caught:  # noqa: BLE001 - it is raised again where the call is awaited
            error = caught
        with suppress(RuntimeError):  # the loop has ended before the thread
            loop.call_soon_threadsafe(deliver, value, error)

    try:
        _POOL.submit(job)
        return await future
    except BaseException:
        if turn.acquire(blocking=False):
            on_end()
        raise
