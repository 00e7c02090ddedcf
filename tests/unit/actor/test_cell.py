from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from tests.support.actors import Recorder, cell_for, eventually, offer_call

from longreach import threads
from longreach.actor.call import Cancelled, Completed, Crashed, NotStarted
from longreach.actor.cell import ActorCell
from longreach.actor.context import Context
from longreach.actor.incarnation import StartFailed
from longreach.actor.server import Actor, Server, tool
from longreach.clock import FakeClock
from longreach.errors import Crash, DeclarationError, ToolError
from longreach.policy.quarantine import Quarantine
from longreach.threads import NoRoom, ThreadPool


@asynccontextmanager
async def running(cell: ActorCell) -> AsyncIterator[ActorCell]:
    await cell.start()
    try:
        yield cell
    finally:
        await cell.stop(1.0)


class Gate:
    """A tool that waits, and a count of how many do."""

    def __init__(self, server: Server, **options: int) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

        async def wait() -> str:
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await self.open.wait()
            finally:
                self.inside -= 1
            return "through"

        server.add_tool(wait, **options)


async def test_a_call_is_answered_with_what_the_handler_returns():
    server, seen = Server("s"), Recorder()

    @server.tool
    async def double(x: int) -> int:
        return 2 * x

    async with running(cell_for(server, "double")) as cell:
        assert offer_call(cell, seen, "a", "double", {"x": 4}) is None
        ending = await seen.ending("a")
    assert isinstance(ending, Completed)
    assert bytes(ending.result.structured_content) == b'{"result":8}'


async def test_wrong_arguments_are_a_tool_error_that_names_them():
    server, seen = Server("s"), Recorder()

    @server.tool
    async def double(x: int) -> int:
        raise AssertionError("must not run")

    async with running(cell_for(server, "double")) as cell:
        offer_call(cell, seen, "a", "double", {"x": "four"})
        assert "x" in await seen.text("a")
        assert seen.endings["a"].result.is_error


async def test_what_is_beyond_concurrency_waits_and_what_is_beyond_the_mailbox_is_refused():
    server, seen = Server("s"), Recorder()
    gate = Gate(server, concurrency=2, mailbox=1)
    async with running(cell_for(server, "wait")) as cell:
        answers = [offer_call(cell, seen, key, "wait") for key in "abcd"]
        assert answers == [None, None, None, "busy"]
        assert (cell.running, cell.waiting) == (2, 1)
        await eventually(lambda: gate.inside == 2)
        gate.open.set()
        await seen.until(lambda: len(seen.endings) == 3)
        assert gate.most == 2
        await eventually(lambda: cell.running == 0)


@pytest.mark.parametrize("state", ["starting", "draining", "stopped"])
async def test_an_actor_that_is_not_ready_refuses(state):
    server, seen = Server("s"), Recorder()
    Gate(server)
    cell = cell_for(server, "wait")
    if state != "starting":
        await cell.start()
        await (cell.drain(0.1) if state == "draining" else cell.stop(0.1))
    assert offer_call(cell, seen, "a", "wait") == ("draining" if state == "draining" else "not_here")
    await cell.stop(0.1)


async def test_a_cancel_stops_an_async_handler_and_frees_its_slot():
    server, seen = Server("s"), Recorder()
    gate = Gate(server, concurrency=1)
    async with running(cell_for(server, "wait")) as cell:
        offer_call(cell, seen, "a", "wait")
        await eventually(lambda: gate.inside == 1)
        assert cell.cancel("a", "cancelled")
        assert seen.endings["a"] == Cancelled("cancelled")
        await eventually(lambda: (gate.inside, cell.running) == (0, 0))
        assert not cell.cancel("a", "cancelled")


async def test_a_cancel_before_the_first_step_frees_the_slot_too():
    server, seen = Server("s"), Recorder()
    gate = Gate(server, concurrency=1)
    async with running(cell_for(server, "wait")) as cell:
        offer_call(cell, seen, "a", "wait")
        assert cell.cancel("a", "cancelled")
        gate.open.set()
        offer_call(cell, seen, "b", "wait")
        assert await seen.text("b") == "through"
        assert gate.most == 1


@pytest.mark.parametrize(("why", "reason"), [("deadline", "expired"), ("cancelled", "not_here")])
async def test_a_cancel_takes_a_waiting_call_out_of_the_mailbox(why, reason):
    server, seen = Server("s"), Recorder()
    Gate(server, concurrency=1)
    async with running(cell_for(server, "wait")) as cell:
        for key in "abc":
            offer_call(cell, seen, key, "wait")
        assert cell.cancel("c", why)
        assert seen.endings["c"] == NotStarted(reason)
        assert cell.waiting == 1


async def test_a_call_that_waited_beyond_its_deadline_never_runs():
    server, seen, clock = Server("s"), Recorder(), FakeClock()
    gate = Gate(server, concurrency=1)
    async with running(cell_for(server, "wait", clock=clock)) as cell:
        offer_call(cell, seen, "a", "wait", clock=clock)
        offer_call(cell, seen, "b", "wait", timeout_s=1, clock=clock)
        await eventually(lambda: gate.inside == 1)
        clock.advance(2)
        gate.open.set()
        assert await seen.ending("b") == NotStarted("expired")
        assert isinstance(seen.endings["a"], Completed)


async def test_a_call_whose_deadline_passes_while_the_loop_is_held_up_never_runs():
    server, seen, clock = Server("s"), Recorder(), FakeClock()
    gate = Gate(server)
    gate.open.set()
    async with running(cell_for(server, "wait", clock=clock)) as cell:
        offer_call(cell, seen, "a", "wait", timeout_s=1, clock=clock)
        clock.advance(2)
        assert await seen.ending("a") == NotStarted("expired")
        assert gate.most == 0


async def test_an_exception_of_a_function_is_a_tool_error_without_its_text(caplog):
    server, seen = Server("s"), Recorder()

    @server.tool
    async def fail() -> str:
        raise ValueError("password=hunter2")

    async with running(cell_for(server, "fail")) as cell:
        offer_call(cell, seen, "a", "fail")
        text = await seen.text("a")
        assert cell.state == "ready"
    assert "hunter2" not in text
    reference = text.split()[-1]
    record = next(r for r in caplog.records if r.getMessage() == "handler.failed")
    assert record.event_fields["reference"] == reference
    assert "hunter2" in caplog.text


async def test_a_tool_error_is_for_the_caller_to_read():
    server, seen = Server("s"), Recorder()

    @server.tool
    def fail() -> str:
        raise ToolError("no such document \udc80")

    async with running(cell_for(server, "fail")) as cell:
        offer_call(cell, seen, "a", "fail")
        assert await seen.text("a") == "no such document ?"
        assert seen.endings["a"].result.is_error


async def test_a_cancelled_error_that_a_handler_lets_out_is_a_tool_error():
    server, seen = Server("s"), Recorder()

    @server.tool
    async def confused() -> str:
        raise asyncio.CancelledError

    async with running(cell_for(server, "confused")) as cell:
        offer_call(cell, seen, "a", "confused")
        assert "failed" in await seen.text("a")
        assert cell.state == "ready"


async def test_a_handler_that_ignores_its_cancel_keeps_its_slot_until_it_ends():
    server, seen = Server("s"), Recorder()
    release = asyncio.Event()

    @server.tool(concurrency=1, mailbox=0)
    async def stubborn() -> str:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "done"

    async with running(cell_for(server, "stubborn")) as cell:
        offer_call(cell, seen, "a", "stubborn")
        await asyncio.sleep(0)
        cell.cancel("a", "cancelled")
        await asyncio.sleep(0)
        assert seen.endings["a"] == Cancelled("cancelled")
        assert offer_call(cell, seen, "b", "stubborn") == "busy"
        release.set()
        await eventually(lambda: cell.running == 0)


BASE_EXCEPTIONS = [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, Crash, BaseException]


@pytest.mark.parametrize("error", BASE_EXCEPTIONS)
@pytest.mark.parametrize("threaded", [False, True])
async def test_what_would_end_the_node_ends_the_call_of_a_function_alone(error, threaded, caplog):
    server, seen = Server("s"), Recorder()
    gate = asyncio.Event()

    async def leave_async(stay: bool = False) -> str:
        if stay:
            await gate.wait()
            return "stayed"
        raise error

    def leave(stay: bool = False) -> str:
        if stay:
            return "stayed"
        raise error

    server.add_tool(leave if threaded else leave_async, name="leave")
    async with running(cell_for(server, "leave")) as cell:
        moves = []
        cell.on_state(lambda _, old, new: moves.append(new))
        offer_call(cell, seen, "a", "leave", {"stay": True})
        await asyncio.sleep(0)
        offer_call(cell, seen, "b", "leave")
        assert isinstance(await seen.ending("b"), Crashed)
        offer_call(cell, seen, "c", "leave", {"stay": True})
        gate.set()
        assert [await seen.text(key) for key in "ac"] == ["stayed", "stayed"]
        assert moves == []
    assert any(record.getMessage() == "call.crashed" for record in caplog.records)


async def test_a_row_of_crashed_calls_takes_a_function_out_for_a_while():
    server, seen = Server("s"), Recorder()

    @server.tool
    async def leave() -> str:
        raise SystemExit

    async with running(cell_for(server, "leave", quarantine=Quarantine(threshold=1))) as cell:
        for key in "ab":
            offer_call(cell, seen, key, "leave")
            assert isinstance(await seen.ending(key), Crashed)
        assert cell.state == "quarantined"
        assert offer_call(cell, seen, "c", "leave") == "crashed"


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, KeyboardInterrupt, BaseException])
async def test_an_exception_that_a_future_brings_ends_the_call_that_waits_for_it(error):
    """A future's GeneratorExit closes every coroutine between its task and itself."""
    server, seen = Server("s"), Recorder()

    @server.tool
    async def wait(bring: bool = False) -> str:
        if not bring:
            return "here"
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, error())
        await future
        return ""

    async with running(cell_for(server, "wait")) as cell:
        for key in "ab":  # the second one has a task of its own
            offer_call(cell, seen, key, "wait", {"bring": True})
        for key in "ab":
            assert isinstance(await seen.ending(key), Crashed)
        offer_call(cell, seen, "c", "wait")
        assert await seen.text("c") == "here"
        await eventually(lambda: cell.running == 0)


class Counter(Actor):
    lives = 0

    def __init__(self) -> None:
        type(self).lives += 1
        self.count = 0

    @tool
    async def add(self, n: int = 1) -> int:
        self.count += n
        return self.count

    @tool
    async def crash(self) -> str:
        await asyncio.sleep(0)
        raise Crash("bug")

    @tool
    async def complain(self) -> str:
        raise ToolError("no")

    @tool
    def threaded(self) -> int:
        return self.count


class Odd(msgspec.Struct):
    how: int = 0

    def __post_init__(self) -> None:
        if self.how:
            raise SystemExit


class Picky(Actor):
    def __init__(self) -> None:
        self.count = 0

    @tool
    async def take(self, odd: Odd) -> int:
        self.count += 1
        return self.count


async def test_a_class_of_actors_keeps_state_between_calls_and_serves_one_at_a_time():
    server, seen = Server("s"), Recorder()
    server.add_actor(Counter)
    async with running(cell_for(server, "Counter")) as cell:
        for key in "abc":
            offer_call(cell, seen, key, "add")
        assert (cell.running, cell.waiting) == (1, 2)
        offer_call(cell, seen, "t", "threaded")
        assert [await seen.text(key) for key in "abct"] == ["1", "2", "3", "3"]


async def test_a_crash_ends_its_call_refuses_what_waits_and_brings_fresh_state():
    server, seen = Server("s"), Recorder()
    server.add_actor(Counter)
    async with running(cell_for(server, "Counter")) as cell:
        offer_call(cell, seen, "a", "add", {"n": 5})
        offer_call(cell, seen, "b", "crash")
        offer_call(cell, seen, "c", "add")
        assert isinstance(await seen.ending("b"), Crashed)
        assert seen.endings["c"] == NotStarted("crashed")
        assert offer_call(cell, seen, "d", "add") == "crashed"
        await eventually(lambda: cell.state == "ready")
        offer_call(cell, seen, "e", "add")
        assert await seen.text("e") == "1"


async def test_a_tool_error_of_a_method_is_no_crash():
    server, seen = Server("s"), Recorder()
    server.add_actor(Counter)
    async with running(cell_for(server, "Counter")) as cell:
        offer_call(cell, seen, "a", "complain")
        assert await seen.text("a") == "no"
        assert cell.state == "ready"


async def test_an_exception_of_a_method_fails_its_call_and_leaves_the_state_as_it_is():
    server, seen = Server("s"), Recorder()

    @server.actor
    class Drafts(Actor):
        def __init__(self) -> None:
            self.drafts: dict[str, str] = {}

        @tool
        async def put(self, name: str, text: str) -> str:
            self.drafts[name] = text
            return self.drafts[text]

        @tool
        async def read(self, name: str) -> str:
            return self.drafts[name]

    async with running(cell_for(server, "Drafts")) as cell:
        moves = []
        cell.on_state(lambda _, old, new: moves.append(new))
        offer_call(cell, seen, "a", "put", {"name": "x", "text": "y"})  # it fails after it has written
        offer_call(cell, seen, "b", "read", {"name": "nobody"})
        assert "the log of" in await seen.text("a")
        assert "the log of" in await seen.text("b")
        offer_call(cell, seen, "c", "read", {"name": "x"})
        assert await seen.text("c") == "y"
        assert moves == []


@pytest.mark.parametrize("crash_on", [LookupError, (OSError, KeyError), [ExceptionGroup]])
async def test_an_exception_that_the_class_names_crashes_it(crash_on):
    server, seen = Server("s"), Recorder()

    class Picky(Actor):
        def __init__(self) -> None:
            self.count = 0

        @tool
        async def act(self, fail: bool = False, say: bool = False) -> int:
            self.count += 1
            if say:
                raise ToolError("no")
            if fail:
                raise ExceptionGroup("g", [ToolError("no")]) if isinstance(crash_on, list) else KeyError("x")
            return self.count

    server.add_actor(Picky, crash_on=crash_on)
    async with running(cell_for(server, "Picky")) as cell:
        offer_call(cell, seen, "a", "act", {"say": True})
        offer_call(cell, seen, "b", "act")
        assert await seen.text("b") == "2"
        offer_call(cell, seen, "c", "act", {"fail": True})
        assert isinstance(await seen.ending("c"), Crashed)
        await eventually(lambda: cell.state == "ready")
        offer_call(cell, seen, "d", "act")
        assert await seen.text("d") == "1"


@pytest.mark.parametrize(
    "crash_on", ["KeyError", 5, (KeyError, "x"), int, ToolError, (asyncio.CancelledError,), None]
)
def test_what_cannot_crash_an_actor_is_refused_when_it_is_declared(crash_on):
    with pytest.raises(DeclarationError, match="crash_on="):
        Server("s").add_actor(Counter, crash_on=crash_on)


async def test_arguments_whose_types_raise_fail_the_call_and_spare_the_state():
    server, seen = Server("s"), Recorder()
    server.add_actor(Picky)
    async with running(cell_for(server, "Picky", quarantine=Quarantine(threshold=0))) as cell:
        offer_call(cell, seen, "a", "take", {"odd": {"how": 1}})
        offer_call(cell, seen, "b", "take", {"odd": {"how": 0}})
        assert "the log of" in await seen.text("a")
        assert await seen.text("b") == "1"
        assert cell.state == "ready"


@pytest.mark.parametrize("sort", ["raised", "cancels itself", "in a group"])
async def test_a_cancel_that_nobody_asked_for_fails_the_call_of_a_method(sort):
    server, seen = Server("s"), Recorder()

    @server.actor
    class Confused(Actor):
        @tool
        async def act(self) -> str:
            match sort:
                case "raised":
                    raise asyncio.CancelledError
                case "in a group":
                    raise BaseExceptionGroup("g", [asyncio.CancelledError()])
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
            return ""

        @tool
        async def rest(self) -> str:
            await asyncio.sleep(0)
            return "rested"

    async with running(cell_for(server, "Confused")) as cell:
        offer_call(cell, seen, "a", "act")
        offer_call(cell, seen, "b", "rest")
        assert "the log of" in await seen.text("a")
        assert await seen.text("b") == "rested"
        assert cell.state == "ready"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
async def test_a_step_that_would_end_the_loop_ends_its_call(error):
    server, seen = Server("s"), Recorder()

    @server.tool
    async def leave(ctx: Context = Context.injected) -> str:
        async def step() -> str:
            await asyncio.sleep(0)
            raise error

        return await ctx.step("one", step)

    async with running(cell_for(server, "leave")) as cell:
        offer_call(cell, seen, "a", "leave")
        assert isinstance(await seen.ending("a"), Crashed)


async def test_where_the_system_gives_no_thread_the_call_has_not_begun(monkeypatch):
    server, seen = Server("s"), Recorder()

    class Full(ThreadPool):
        def submit(self, job):
            raise RuntimeError("can't start new thread")

    @server.actor
    class Plain(Actor):
        @tool
        def count(self) -> str:
            return "counted"

    async with running(cell_for(server, "Plain")) as cell:
        with monkeypatch.context() as full:
            full.setattr(threads.ThreadPool, "submit", Full.submit)
            offer_call(cell, seen, "a", "count")
            assert await seen.ending("a") == NotStarted("busy", 1000)
        offer_call(cell, seen, "b", "count")
        assert await seen.text("b") == "counted"


async def test_what_a_handlers_own_code_raises_for_want_of_a_thread_is_no_refusal():
    server, seen = Server("s"), Recorder()

    @server.tool
    async def packs() -> str:
        raise NoRoom("a nested call could not pack its body")

    @server.tool
    def packs_too() -> str:
        raise NoRoom("a nested call could not pack its body")

    for name in ("packs", "packs_too"):
        async with running(cell_for(server, name)) as cell:
            offer_call(cell, seen, name, name)
            assert "the log of" in await seen.text(name)


async def test_bystanders_of_a_crash_are_cut_off_not_blamed():
    server, seen = Server("s"), Recorder()

    @server.actor(concurrency=2)
    class Pair(Actor):
        @tool
        async def linger(self) -> str:
            await asyncio.Event().wait()
            return ""

        @tool
        async def crash(self) -> str:
            raise Crash

    async with running(cell_for(server, "Pair")) as cell:
        offer_call(cell, seen, "a", "linger")
        offer_call(cell, seen, "b", "crash")
        assert isinstance(await seen.ending("b"), Crashed)
        assert seen.endings["a"] == Cancelled("crash")


async def test_a_row_of_crashes_leads_to_quarantine_and_out_of_it():
    server, seen = Server("s"), Recorder()
    server.add_actor(Counter)
    waits: list[float] = []

    async def sleep(delay_s: float) -> None:
        waits.append(delay_s)
        await asyncio.sleep(0)

    quarantine = Quarantine(threshold=1, restart_s=0.01)
    async with running(cell_for(server, "Counter", quarantine=quarantine, sleep=sleep)) as cell:
        states = []
        cell.on_state(lambda _, old, new: states.append(new))
        for key in "ab":
            offer_call(cell, seen, key, "crash")
            await seen.ending(key)
            await eventually(lambda: cell.state == "ready")
    assert [s for s in states if s in ("restarting", "quarantined")] == ["restarting", "quarantined"]
    assert waits[0] == 0.01
    assert waits[1] > 0.5


async def test_a_crash_while_draining_refuses_what_waits_instead_of_running_it_on_broken_state():
    server, seen = Server("s"), Recorder()
    server.add_actor(Counter)
    async with running(cell_for(server, "Counter")) as cell:
        offer_call(cell, seen, "a", "crash")
        offer_call(cell, seen, "b", "add")
        await cell.drain(5)
        assert isinstance(seen.endings["a"], Crashed)
        assert seen.endings["b"] == NotStarted("crashed")


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, GeneratorExit, BaseException, asyncio.CancelledError]
)
async def test_hooks_run_around_the_calls_and_around_a_crash(error):
    server, seen, told = Server("s"), Recorder(), []

    @server.actor
    class Told(Actor):
        async def started(self) -> None:
            told.append("started")

        async def stopped(self) -> None:
            told.append("stopped")
            raise error

        @tool
        async def crash(self) -> str:
            raise Crash

    async with running(cell_for(server, "Told")) as cell:
        offer_call(cell, seen, "a", "crash")
        await seen.ending("a")
        await eventually(lambda: cell.state == "ready")
    assert told == ["started", "stopped", "started", "stopped"]


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, GeneratorExit, BaseException, asyncio.CancelledError]
)
async def test_an_actor_that_cannot_start_says_so_and_is_stopped(error):
    server = Server("s")

    @server.actor
    class Broken(Actor):
        async def started(self) -> None:
            raise error

        @tool
        async def nothing(self) -> str:
            return ""

    cell = cell_for(server, "Broken")
    with pytest.raises((ValueError, StartFailed)):
        await cell.start()
    assert cell.state == "stopped"


async def test_an_actor_that_cannot_come_back_after_a_crash_is_its_supervisors_to_restart():
    server, seen, lives = Server("s"), Recorder(), []

    @server.actor
    class Once(Actor):
        async def started(self) -> None:
            lives.append(1)
            if len(lives) > 1:
                raise ValueError

        @tool
        async def crash(self) -> str:
            raise Crash

    cell = cell_for(server, "Once")
    await cell.start()
    offer_call(cell, seen, "a", "crash")
    async with asyncio.timeout(30):
        assert await cell.wait() == "start_failed"
    assert cell.state == "stopped"


async def test_a_drain_lets_running_and_waiting_calls_end():
    server, seen = Server("s"), Recorder()
    gate = Gate(server, concurrency=1)
    async with running(cell_for(server, "wait")) as cell:
        for key in "ab":
            offer_call(cell, seen, key, "wait")
        asyncio.get_running_loop().call_soon(gate.open.set)
        await cell.drain(5)
        assert [await seen.text(key) for key in "ab"] == ["through", "through"]


async def test_a_drains_time_limit_cuts_off_and_a_second_drain_can_shorten_it():
    server, seen = Server("s"), Recorder()
    Gate(server, concurrency=1)
    async with running(cell_for(server, "wait")) as cell:
        for key in "ab":
            offer_call(cell, seen, key, "wait")
        patient = asyncio.gather(cell.drain(60))
        await asyncio.sleep(0)
        await cell.drain(0.01)
        assert seen.endings == {"a": Cancelled("drain"), "b": NotStarted("draining")}
        async with asyncio.timeout(30):
            await patient


async def test_stopping_ends_every_call_and_reports_a_shutdown():
    server, seen = Server("s"), Recorder()
    gate = Gate(server, concurrency=1)
    cell = cell_for(server, "wait")
    await cell.start()
    for key in "ab":
        offer_call(cell, seen, key, "wait")
    await eventually(lambda: gate.inside == 1)
    await cell.stop(1)
    assert seen.endings == {"a": Cancelled("drain"), "b": NotStarted("draining")}
    assert gate.inside == 0
    assert await cell.wait() == "shutdown"


async def test_a_stop_in_quarantine_does_not_wait_for_its_end():
    server, seen = Server("s"), Recorder()
    server.add_actor(Counter)
    cell = cell_for(server, "Counter", quarantine=Quarantine(threshold=0))
    await cell.start()
    offer_call(cell, seen, "a", "crash")
    await seen.ending("a")
    assert cell.state == "quarantined"
    async with asyncio.timeout(30):
        await cell.stop(5)
    assert cell.state == "stopped"


async def test_an_abandoned_thread_keeps_its_slot_and_nothing_else():
    server, seen = Server("s"), Recorder()
    begun, go = threading.Event(), threading.Event()

    @server.tool(concurrency=1, mailbox=5)
    def block() -> str:
        begun.set()
        go.wait(10)
        return "late"

    cell = cell_for(server, "block")
    await cell.start()
    offer_call(cell, seen, "a", "block")
    await eventually(begun.is_set)
    cell.cancel("a", "cancelled")
    assert seen.endings["a"] == Cancelled("cancelled")
    await asyncio.sleep(0)
    offer_call(cell, seen, "b", "block")
    assert (cell.running, cell.waiting) == (1, 1)
    go.set()
    assert await seen.text("b") == "late"
    go.clear()
    begun.clear()
    offer_call(cell, seen, "c", "block")
    await eventually(begun.is_set)
    async with asyncio.timeout(30):  # the thread is not waited for
        await cell.stop(1)
    assert cell.running == 1
    go.set()
    await eventually(lambda: cell.running == 0)


async def test_a_thread_that_is_cancelled_before_it_begins_frees_its_slot():
    server, seen = Server("s"), Recorder()
    ran = []

    @server.tool(concurrency=1)
    def note(x: int) -> str:
        ran.append(x)
        return "ok"

    async with running(cell_for(server, "note")) as cell:
        for round_ in range(20):
            offer_call(cell, seen, f"a{round_}", "note", {"x": 1})
            cell.cancel(f"a{round_}", "cancelled")
        offer_call(cell, seen, "b", "note", {"x": 2})
        assert await seen.text("b") == "ok"
        assert ran == [2]


async def test_a_listener_that_raises_does_not_keep_calls_from_ending():
    server, seen = Server("s"), Recorder()
    server.add_actor(Counter)
    async with running(cell_for(server, "Counter")) as cell:

        def broken(*_: object) -> None:
            raise ValueError("listener")

        cell.on_state(broken)
        offer_call(cell, seen, "a", "crash")
        assert isinstance(await seen.ending("a"), Crashed)
        await eventually(lambda: cell.state == "ready")


async def test_a_sink_that_raises_does_not_cost_a_slot(caplog):
    server = Server("s")

    class Angry(Recorder):
        def ended(self, call, ending):
            super().ended(call, ending)
            raise ValueError("sink")

    seen = Angry()

    @server.tool(concurrency=1)
    async def quick() -> str:
        return "ok"

    async with running(cell_for(server, "quick")) as cell:
        offer_call(cell, seen, "a", "quick")
        offer_call(cell, seen, "b", "quick")
        assert await seen.text("b") == "ok"
        await eventually(lambda: cell.running == 0)
    assert "ending.failed" in caplog.text


# Overload


async def test_callers_take_turns_and_the_flood_gives_way():
    server, seen = Server("s"), Recorder()
    began: list[str] = []
    gates: asyncio.Queue[None] = asyncio.Queue()

    @server.tool(concurrency=1, mailbox=4)
    async def work(key: str) -> str:
        began.append(key)
        await gates.get()
        return key

    def offer(key: str, caller: str):
        return offer_call(cell, seen, key, "work", {"key": key}, caller=caller)

    async with running(cell_for(server, "work")) as cell:
        assert [offer(f"f{number}", "flood") for number in range(6)] == [None] * 5 + ["busy"]
        assert offer("p0", "polite") is None
        evicted = await seen.ending("f4")
        assert isinstance(evicted, NotStarted)
        assert evicted.reason == "busy"
        assert evicted.retry_after_ms
        for _ in range(5):
            gates.put_nowait(None)
        for key in ("f0", "f1", "p0", "f2", "f3"):
            assert await seen.text(key) == key
    assert began == ["f0", "f1", "p0", "f2", "f3"]


async def test_what_cannot_end_in_time_is_refused_and_what_can_waits():
    server, seen, clock = Server("s"), Recorder(), FakeClock()
    gate = Gate(server, concurrency=1, mailbox=10)
    async with running(cell_for(server, "wait", clock=clock)) as cell:
        for key in "ab":
            assert offer_call(cell, seen, key, "wait", clock=clock) is None
        await eventually(lambda: gate.inside == 1)
        clock.advance(2.0)
        gate.open.set()
        await seen.ending("a")
        gate.open.clear()
        await eventually(lambda: gate.inside == 1)  # b runs, for 2 s as far as anybody knows
        assert offer_call(cell, seen, "c", "wait", clock=clock, timeout_s=3.5) == "busy"
        assert offer_call(cell, seen, "d", "wait", clock=clock, timeout_s=4.5) is None
        assert cell.retry_after_ms() == 2000
        gate.open.set()


async def test_in_a_full_mailbox_what_has_expired_makes_room():
    server, seen, clock = Server("s"), Recorder(), FakeClock()
    gate = Gate(server, concurrency=1, mailbox=1)
    async with running(cell_for(server, "wait", clock=clock)) as cell:
        for key, timeout_s in (("a", 60.0), ("b", 1.0)):
            assert offer_call(cell, seen, key, "wait", clock=clock, timeout_s=timeout_s) is None
        assert offer_call(cell, seen, "c", "wait", clock=clock) == "busy"
        clock.advance(1.0)
        assert offer_call(cell, seen, "d", "wait", clock=clock) is None
        assert seen.endings["b"] == NotStarted("expired")
        gate.open.set()
        assert await seen.text("d") == "through"
