from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

import pytest
from tests.support.actors import eventually
from tests.support.executor import full_default_executor

from longreach import threads
from longreach.threads import ThreadPool, in_thread, run_in_thread

variable: ContextVar[str] = ContextVar("variable")


def nothing() -> None: ...


async def test_it_runs_in_a_daemon_thread_with_the_context_of_its_caller():
    variable.set("here")
    ended = []
    thread, seen = await run_in_thread(
        lambda **k: (threading.current_thread(), variable.get() + k["x"]), {"x": "!"}, lambda: ended.append(1)
    )
    assert thread is not threading.main_thread()
    assert thread.daemon
    assert seen == "here!"
    assert ended == [1]


@pytest.mark.parametrize(
    ("raised", "seen"), [(KeyError, KeyError), (SystemExit, SystemExit), (StopIteration, RuntimeError)]
)
async def test_what_the_function_raises_comes_out(raised, seen):
    def fail() -> None:
        raise raised("x")

    ended = []
    with pytest.raises(seen):
        await run_in_thread(fail, {}, lambda: ended.append(1))
    assert ended == [1]


async def test_a_cancel_returns_at_once_and_the_end_is_told_later():
    begun, go, ended = threading.Event(), threading.Event(), []

    def block() -> None:
        begun.set()
        go.wait(10)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run_in_thread(block, {}, lambda: ended.append(1)))
        await eventually(begun.is_set)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()
        assert ended == []
        go.set()
        await eventually(lambda: ended == [1])


async def test_a_thread_that_cannot_be_started_is_an_error_of_the_call():
    class Full(ThreadPool):
        def submit(self, job):
            raise RuntimeError("can't start new thread")

    ended = []
    with pytest.raises(RuntimeError, match="new thread"):
        await run_in_thread(nothing, {}, lambda: ended.append(1), Full())
    assert ended == [1]


def test_idle_threads_are_used_again_and_end_in_the_end(monkeypatch):
    monkeypatch.setattr(threads, "_IDLE_S", 0.2)
    pool, names = ThreadPool(), []
    for _ in range(3):
        done = threading.Event()

        def job(done: threading.Event = done) -> None:
            names.append(threading.current_thread())
            done.set()

        pool.submit(job)
        assert done.wait(5)
        while not pool._idle:  # it rests right after its job
            pass
    assert len(set(names)) == 1
    names[0].join(5)
    assert not names[0].is_alive()
    assert pool._idle == []


class Held:
    """Jobs that hold a pool's threads until they are let go."""

    def __init__(self, pool: ThreadPool, count: int) -> None:
        self.go = threading.Event()
        self.ended: list[int] = []
        self.begun: list[int] = []
        self.jobs = [self._job(number) for number in range(count)]
        for job in self.jobs:
            pool.submit(job)

    def _job(self, number: int) -> Callable[[], None]:
        def job() -> None:
            self.begun.append(number)
            self.go.wait(10)
            self.ended.append(number)

        return job


async def test_a_bounded_pool_runs_so_many_and_the_rest_in_their_order():
    pool = ThreadPool("test", 2)
    held = Held(pool, 6)
    await eventually(lambda: len(held.begun) == 2)
    assert pool.waiting == 4
    pool.withdraw(held.jobs[3])
    held.go.set()
    await eventually(lambda: len(held.ended) == 5)
    assert set(held.ended) == {0, 1, 2, 4, 5}
    assert held.begun.index(2) < held.begun.index(5)
    assert pool._count == 2


async def test_a_job_that_is_cancelled_before_its_turn_is_forgotten_and_never_runs():
    pool = ThreadPool("test", 1)
    held = Held(pool, 1)
    await eventually(lambda: held.begun == [0])
    ran: list[int] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(in_thread(pool, ran.append, 1))
        await eventually(lambda: pool.waiting == 1)
        task.cancel()
    assert pool.waiting == 0
    held.go.set()
    await in_thread(pool, ran.append, 2)
    assert ran == [2]


async def test_an_abandoned_thread_keeps_its_place_in_a_bounded_pool_until_it_ends():
    pool = ThreadPool("test", 1)
    begun, go = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go.wait(10)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(in_thread(pool, block))
        await eventually(begun.is_set)
        task.cancel()
        group.create_task(in_thread(pool, nothing))
        await eventually(lambda: pool.waiting == 1)
        go.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_name_is_found_and_connected_to_while_the_default_executor_is_full(host: str):
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with full_default_executor(), server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.wait_for(threads.open_connection(host, port), 30)
        assert await reader.read() == b"here"
        writer.close()


async def test_a_name_that_nobody_knows_and_a_port_where_nobody_listens_are_os_errors():
    with pytest.raises(OSError, match=r"(?i)connect call failed|refused"):
        await threads.open_connection("127.0.0.1", 1)
    with pytest.raises(OSError):  # noqa: PT011 - each resolver has its own words
        await threads.open_connection("nobody.invalid", 4222)


def test_nothing_of_ours_uses_the_default_executor():
    """It belongs to the user; tests' own tools, and the demo in a process of its own, may."""
    root = Path(threads.__file__).parent
    places = [*root.rglob("*.py"), *(root.parents[1] / "services").rglob("*.py")]
    exempt = {"testing", "demo"}
    users = [
        path.name
        for path in places
        if exempt.isdisjoint(path.parts)
        and re.search(r"asyncio\.to_thread\(|run_in_executor\(|loop\.getaddrinfo\(", path.read_text())
    ]
    assert users == []
