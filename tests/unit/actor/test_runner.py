from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest
from tests.support.actors import plain_spec

from longreach.actor.call import Call, Ending
from longreach.actor.runner import Runner
from longreach.tasks import TaskSet
from longreach.wire.jsonrpc import CallParams

_var: ContextVar[str] = ContextVar("test_var", default="nothing")


class Ear:
    def ended(self, call: Call, ending: Ending) -> None: ...

    def note(self, call: Call, notification: bytes) -> None: ...


def make(key: str) -> Call:
    return Call(key, key, plain_spec(), CallParams(), b"", 1e9, "_", "me", 0.0, Ear())


class Bench:
    """A runner whose calls do what the test says."""

    def __init__(self, handler: Callable[[Call], Awaitable[None]]) -> None:
        self.log: list[str] = []
        self.tasks = TaskSet("test")
        self.runner = Runner(self._run, self.tasks)
        self._handler = handler

    async def _run(self, call: Call) -> None:
        call.begun = True
        try:
            await self._handler(call)
            self.log.append(f"{call.key} done")
        except asyncio.CancelledError:
            self.log.append(f"{call.key} cancelled")

    def start(self, *keys: str) -> list[Call]:
        calls = [make(key) for key in keys]
        for call in calls:
            self.runner.start(call)
        return calls

    async def idle(self) -> None:
        async with asyncio.timeout(30):
            while len(self.tasks):
                await asyncio.sleep(0)


async def test_calls_that_never_wait_share_a_task_and_keep_their_order():
    seen: list[object] = []

    async def handler(call: Call) -> None:
        seen.append(asyncio.current_task())

    bench = Bench(handler)
    bench.start("a", "b", "c")
    assert bench.log == []  # nothing of a user's runs before the loop comes round
    await bench.idle()
    assert bench.log == ["a done", "b done", "c done"]
    assert len(set(seen)) == 1


async def test_calls_that_wait_have_a_task_each_and_wait_together():
    gate = asyncio.Event()
    seen: list[object] = []

    async def handler(call: Call) -> None:
        await gate.wait()
        seen.append(asyncio.current_task())

    bench = Bench(handler)
    calls = bench.start("a", "b", "c")
    for _ in range(3):
        await asyncio.sleep(0)
    assert all(call.begun for call in calls)
    gate.set()
    await bench.idle()
    assert len(set(seen)) == 3
    assert seen == [call.task for call in calls]


async def test_what_comes_while_one_waits_is_not_held_up():
    gate = asyncio.Event()

    async def handler(call: Call) -> None:
        if call.key == "slow":
            await gate.wait()

    bench = Bench(handler)
    bench.start("slow", "b")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.start("c")
    for _ in range(3):
        await asyncio.sleep(0)
    assert bench.log == ["b done", "c done"]
    gate.set()
    await bench.idle()
    assert bench.log[-1] == "slow done"


@pytest.mark.parametrize("waits", [False, True])
async def test_context_variables_of_one_call_are_not_seen_by_another(waits: bool):
    seen: dict[str, list[str]] = {}

    async def handler(call: Call) -> None:
        seen[call.key] = [_var.get()]
        _var.set(call.key)
        if waits:
            await asyncio.sleep(0)
        seen[call.key].append(_var.get())

    bench = Bench(handler)
    bench.start("a", "b", "c")
    await bench.idle()
    assert seen == {key: ["nothing", key] for key in "abc"}


async def test_a_handler_that_cancels_its_own_task_hits_nobody_else():
    async def handler(call: Call) -> None:
        if call.key == "a":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        else:
            await asyncio.sleep(0)

    bench = Bench(handler)
    bench.start("a", "b", "c")
    await bench.idle()
    assert sorted(bench.log) == ["a done", "b done", "c done"]


async def test_cancel_reaches_a_call_that_waits_and_no_other():
    gate = asyncio.Event()

    async def handler(call: Call) -> None:
        await gate.wait()

    bench = Bench(handler)
    calls = bench.start("a", "b", "c")
    for _ in range(3):
        await asyncio.sleep(0)
    assert bench.runner.cancel(calls[0])
    assert bench.runner.cancel(calls[2])
    gate.set()
    await bench.idle()
    assert sorted(bench.log) == ["a cancelled", "b done", "c cancelled"]


async def test_what_is_cancelled_before_it_begins_never_does():
    gate = asyncio.Event()

    async def handler(call: Call) -> None:
        await gate.wait()

    bench = Bench(handler)
    calls = bench.start("a", "b", "c")
    calls[1].ended = True
    assert not bench.runner.cancel(calls[1])  # before the loop came round
    await asyncio.sleep(0)
    calls[2].ended = True
    assert not bench.runner.cancel(calls[2])  # after its task was made, before its first step
    gate.set()
    await bench.idle()
    assert bench.log == ["a done"]
    assert [call.begun for call in calls] == [True, False, False]


async def test_timeouts_in_a_handler_work_in_a_shared_task_too():
    async def handler(call: Call) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(5)
        await asyncio.sleep(0)  # nothing is left of that cancel

    bench = Bench(handler)
    bench.start("a", "b")
    await bench.idle()
    assert sorted(bench.log) == ["a done", "b done"]


async def test_errors_thrown_into_a_wait_are_the_handlers_to_catch():
    async def handler(call: Call) -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            await future

    bench = Bench(handler)
    bench.start("a")
    await bench.idle()
    assert bench.log == ["a done"]
