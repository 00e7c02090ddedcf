from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest
from tests.support.actors import eventually

from longreach.actor import threads
from longreach.actor.threads import ThreadPool, run_in_thread

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


async def test_a_thread_that_cannot_be_started_is_an_error_of_the_call(monkeypatch):
    class Full(ThreadPool):
        def submit(self, job):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_POOL", Full())
    ended = []
    with pytest.raises(RuntimeError, match="new thread"):
        await run_in_thread(nothing, {}, lambda: ended.append(1))
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
