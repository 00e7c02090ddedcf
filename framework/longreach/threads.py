"""Threads of our own, for handlers and for what a node or client does itself.

A thread cannot be stopped, so a cancelled job only abandons it, and is told when it has really ended. The
threads are daemons: one that hangs keeps its slot, and keeps neither the node nor the interpreter from
ending. (Those of `concurrent.futures` and anyio are joined at exit.)

Nothing here uses asyncio's default executor, which belongs to the user: it has 6 threads on two cores, and
whatever waits behind a user's work there misses its deadline. Source: docs/adr/0006 and 0036.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

Job = Callable[[], None]
T = TypeVar("T")

_IDLE_S = 10.0
"""How long a thread without work is kept."""


class NoRoom(RuntimeError):
    """The system gives no thread or process just now; what was to run there has not begun."""


class _Worker(threading.Thread):
    def __init__(self, pool: ThreadPool) -> None:
        super().__init__(name=f"longreach {pool.name}", daemon=True)
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
    """Threads that are used again while there is work, and end when there is none.

    Args:
        name: of the threads.
        size: how many run at most; more jobs wait in their order. None: as many as there are jobs, whose
            number others limit.
    """

    def __init__(self, name: str = "handler", size: int | None = None) -> None:
        self.name = name
        self._size = size
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._count = 0
        self._waiting: OrderedDict[int, Job] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return len(self._waiting)

    def submit(self, job: Job) -> None:
        """Run `job`, which must not raise, in a thread.

        Raises:
            RuntimeError: the system gives no thread.
        """
        with self._lock:
            worker = self._idle.pop() if self._idle else None
            if worker is None:
                if self._size is not None and self._count >= self._size:
                    self._waiting[id(job)] = job
                    return
                self._count += 1
        if worker is not None:
            worker.jobs.put(job)
            return
        try:
            worker = _Worker(self)
            worker.jobs.put(job)
            worker.start()
        except BaseException:
            with self._lock:
                self._count -= 1
            raise

    def withdraw(self, job: Job) -> None:
        """Forget a job that still waits: what it was given must not be kept until its turn."""
        with self._lock:
            self._waiting.pop(id(job), None)

    def rest(self, worker: _Worker) -> None:
        """`worker` has ended its job: give it the next one, or let it rest."""
        with self._lock:
            if self._waiting:
                _, job = self._waiting.popitem(last=False)
                worker.jobs.put(job)
            else:
                self._idle.append(worker)

    def retire(self, worker: _Worker) -> bool:
        """Whether `worker` may end: not if a job is on its way to it."""
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
                self._count -= 1
                return True
            return False


HANDLERS = ThreadPool()
"""For plain `def` handlers; an actor's `concurrency` limits how many there are."""
BODIES = ThreadPool("bodies", max(2, min(4, os.cpu_count() or 1)))
"""For packing and unpacking bodies in parts: work of the processor, which more threads do no faster."""
CHORES = ThreadPool("chores", 4)
"""For what is done once in a while: finding, starting and stopping brokers, closing logs."""
ANSWERS = ThreadPool("answers", 64)
"""For plain functions that answer a server's questions (`on_elicit` and others), and may wait for people."""
_NAMES = ThreadPool("names", 8)
"""For looking names up; a resolver that hangs holds a thread for half a minute."""


async def run_in_thread(
    function: Callable[..., Any],
    kwargs: dict[str, Any],
    on_end: Callable[[], None],
    pool: ThreadPool = HANDLERS,
) -> Any:
    """Run `function` in a thread, in a copy of the current context.

    A cancel returns at once and abandons the thread; a job that waits for one is forgotten.

    Args:
        function: a plain function.
        kwargs: its arguments.
        on_end: called once in the event loop when the function has really ended, or will never begin.
        pool: whose threads.

    Raises:
        NoRoom: the system gives no thread; the function does not begin.
    """
    value, error = await catch_in_thread(function, kwargs, on_end, pool)
    if error is None:
        return value
    if isinstance(error, StopIteration):  # which no coroutine may raise
        raise RuntimeError(f"the function raised {error!r}") from error
    raise error


async def catch_in_thread(
    function: Callable[..., Any],
    kwargs: dict[str, Any],
    on_end: Callable[[], None],
    pool: ThreadPool = HANDLERS,
) -> tuple[Any, BaseException | None]:
    """Do as `run_in_thread`, but return (value, None) or (None, what the function raised).

    The exception must not travel as a future's: asyncio throws that into the waiting coroutine, and a
    `GeneratorExit` thrown so closes every coroutine on its way, as if the loop were gone.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()
    turn = threading.Lock()  # taken once: by the thread as it begins, or by a cancel that came before that

    def deliver(value: Any, error: BaseException | None) -> None:
        try:
            on_end()
        finally:
            if not future.done():
                future.set_result((value, error))

    def job() -> None:
        if not turn.acquire(blocking=False):
            return
        value, error = None, None
        try:
            value = context.run(lambda: function(**kwargs))
        except BaseException as caught:  # noqa: BLE001 - it is given to who waits
            error = caught
        with suppress(RuntimeError):  # the loop has ended before the thread
            loop.call_soon_threadsafe(deliver, value, error)

    try:
        try:
            pool.submit(job)
        except (RuntimeError, MemoryError) as refused:
            raise NoRoom(f"the system gives no thread: {refused}") from refused
        return await future
    except BaseException:
        if turn.acquire(blocking=False):
            pool.withdraw(job)
            on_end()
        raise


async def in_thread(pool: ThreadPool, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run `function` in a thread of `pool`: `asyncio.to_thread` without the default executor."""
    value: T = await run_in_thread(partial(function, *args, **kwargs), {}, _nothing, pool)
    return value


async def open_connection(
    host: str | None, port: int | None, **options: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as `asyncio.open_connection` does, but look the name up in a thread of our own.

    asyncio asks its default executor: a client whose user keeps that busy would never find its broker again.

    Raises:
        OSError: the name is not known, or nobody listens at any of its addresses.
    """
    loop = asyncio.get_running_loop()
    errors: list[OSError] = []
    for family, kind, proto, _, address in await _addresses(host, port):
        connection = socket.socket(family, kind, proto)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
            return await asyncio.open_connection(sock=connection, **options)
        except OSError as error:
            connection.close()
            errors.append(error)
        except BaseException:
            connection.close()
            raise
    if len({str(error) for error in errors}) == 1:
        raise errors[0]
    raise OSError(f"{host}: {', '.join(map(str, errors)) or 'it has no address'}")


async def _addresses(host: str | None, port: int | None) -> list[Any]:
    """What `socket.getaddrinfo` says; of what is an address already without a thread."""
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return await in_thread(_NAMES, socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)


def _nothing() -> None: ...
