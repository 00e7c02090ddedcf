"""No turn of the loop is longer than its budget and one handler, or one message."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.actors import plain_spec

from longreach.actor.call import Call, Ending
from longreach.actor.runner import Runner
from longreach.clock import FakeClock
from longreach.tasks import TaskSet
from longreach.turns import BUDGET_S, Drain
from longreach.wire.jsonrpc import CallParams


class Ear:
    def ended(self, call: Call, ending: Ending) -> None: ...

    def note(self, call: Call, notification: bytes) -> None: ...


class TurnLoop(asyncio.SelectorEventLoop):
    """Records how much of a fake clock's time the longest turn of the loop takes.

    A turn is what the loop runs between two looks at its sockets. A callback that repeats itself sees half of
    one turn and half of the next, and so more than either.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.longest = 0.0

    def _run_once(self) -> None:
        began = self.clock.monotonic()
        super()._run_once()  # type: ignore[misc]
        self.longest = max(self.longest, self.clock.monotonic() - began)


def longest_turn(scenario: Callable[[FakeClock], Coroutine[Any, Any, None]]) -> float:
    """Run a scenario on a loop of its own; the longest turn, in seconds of the clock that it is given."""
    loop = TurnLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(scenario(loop.clock))
    return loop.longest


costs = st.sampled_from([0.0, 0.00003, 0.0004, 0.002, 0.006, 0.025])
handlers = st.lists(st.tuples(st.integers(0, 2), costs, st.booleans()), max_size=60)


@given(handlers, st.integers(1, 8))
@settings(max_examples=60)
@example(  # a new turn that began in the middle of one: two handlers beyond the budget
    [(0, 0.0, True), (0, 0.006, False), (1, 0.006, False), (1, 0.0, False), (2, 0.006, False)], 1
)
def test_actors_of_one_loop_share_the_turn_and_each_keeps_its_order(
    work: list[tuple[int, float, bool]], slots: int
):
    """Three actors; each call costs CPU and then may wait; a slot that is freed is filled from a queue."""

    async def scenario(clock: FakeClock) -> None:
        tasks = TaskSet("test")
        began: dict[int, list[int]] = {0: [], 1: [], 2: []}
        queues: dict[int, list[Call]] = {0: [], 1: [], 2: []}
        ended: list[str] = []
        costs_of = {}
        loop = asyncio.get_running_loop()

        async def run(call: Call) -> None:
            call.begun = True
            actor, number, cost, waits = costs_of[call.key]
            began[actor].append(number)
            clock.advance(cost)
            if waits:
                future = loop.create_future()
                loop.call_later(0, future.set_result, None)
                await future
            ended.append(call.key)
            if queues[actor]:
                runners[actor].start(queues[actor].pop(0))

        runners = [Runner(run, tasks, clock.monotonic) for _ in range(3)]
        for number, (actor, cost, waits) in enumerate(work):
            key = str(number)
            costs_of[key] = (actor, number, cost, waits)
            queues[actor].append(Call(key, key, plain_spec(), CallParams(), b"", 1e9, "_", "me", 0.0, Ear()))
        for actor, runner in enumerate(runners):
            first, queues[actor] = queues[actor][:slots], queues[actor][slots:]
            for call in first:
                runner.start(call)
        async with asyncio.timeout(20):
            while len(ended) < len(work):
                await asyncio.sleep(0)
        for order in began.values():
            assert order == sorted(order)
        await tasks.close()

    costliest = max((cost for _, cost, _ in work), default=0.0)
    assert longest_turn(scenario) <= BUDGET_S + costliest + 0.0002 * 3 * slots + 1e-9


@given(st.lists(costs, max_size=80))
def test_a_drain_comes_back_through_the_loop_and_keeps_the_order(work: list[float]):
    async def scenario(clock: FakeClock) -> None:
        left, done = list(enumerate(work)), list[int]()

        def step() -> bool:
            if not left:
                return False
            number, cost = left.pop(0)
            clock.advance(cost)
            done.append(number)
            return bool(left)

        drain = Drain(step, clock.monotonic)
        await asyncio.sleep(0)
        drain.run()
        while left:
            await asyncio.sleep(0)
        assert done == list(range(len(work)))

    assert longest_turn(scenario) <= BUDGET_S + max(work, default=0.0) + 1e-9


@given(st.lists(st.booleans(), max_size=80))
def test_a_step_that_raises_does_not_keep_the_others_waiting(raises: list[bool]):
    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        left, done = list(enumerate(raises)), list[int]()

        def step() -> bool:
            if not left:
                return False
            number, fails = left.pop(0)
            done.append(number)
            if fails:
                raise ZeroDivisionError
            return bool(left)

        with contextlib.suppress(ZeroDivisionError):
            Drain(step).run()
        for _ in range(len(raises) + 1):
            await asyncio.sleep(0)
        assert done == list(range(len(raises)))

    asyncio.run(scenario())


async def test_a_step_that_always_raises_does_not_run_for_ever():
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    tries = list[int]()

    def step() -> bool:
        tries.append(1)
        raise ZeroDivisionError

    drain = Drain(step)
    with pytest.raises(ZeroDivisionError):
        drain.run()
    for _ in range(300):
        await asyncio.sleep(0)
    assert len(tries) == 100
    with pytest.raises(ZeroDivisionError):
        drain.run()  # tries again
    assert len(tries) == 101
    drain.stop()


async def test_who_waits_for_a_turn_and_is_cancelled_leaves_the_others_in_order():
    clock, tasks, log = FakeClock(), TaskSet("test"), list[str]()

    def call(key: str) -> Call:
        return Call(key, key, plain_spec(), CallParams(), b"", 1e9, "_", "me", 0.0, Ear())

    async def run(call: Call) -> None:
        clock.advance(0.02)
        log.append(call.key)

    runners = [Runner(run, tasks, clock.monotonic) for _ in range(4)]
    for number, runner in enumerate(runners):
        runner.start(call(f"{number}a"))
        runner.start(call(f"{number}b"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = [task for task in tasks._tasks if not task.done()]
    waiting[0].cancel()  # a task that waits has no call yet: whatever it was to take, another one takes
    async with asyncio.timeout(30):
        while len(log) < 8:
            await asyncio.sleep(0)
    for number in range(4):
        assert log.index(f"{number}a") < log.index(f"{number}b")
    await tasks.close()
