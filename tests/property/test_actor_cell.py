"""Whatever happens to an actor, in whatever order, each call that it took ends exactly once.

A state machine over one cell: calls are offered, let go, made to fail, cancelled, overtaken by time; the
actor is drained. The clock is fake; the loop is real, and turned by hand.
"""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.support.actors import Recorder, cell_for, make_call

from longreach.actor.call import Cancelled, Completed, Crashed, NotStarted
from longreach.actor.server import Actor, Server, tool
from longreach.clock import FakeClock
from longreach.errors import Crash
from longreach.policy.quarantine import Quarantine

CONCURRENCY, MAILBOX = 2, 3
TURNS = 12


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.seen = Recorder()
        self.offered: list[str] = []
        self.taken: set[str] = set()
        self.ran: set[str] = set()
        self.inside: dict[str, asyncio.Future[str]] = {}
        self.away: list[asyncio.Future[None]] = []
        self.late: set[str] = set()
        self.deadlines: dict[str, float] = {}
        self.draining = False
        self.loop.run_until_complete(self.open())

    async def open(self) -> None:
        machine, server = self, Server("s")

        @server.actor(concurrency=CONCURRENCY, mailbox=MAILBOX)
        class Subject(Actor):
            @tool
            async def act(self, key: str) -> str:
                assert key not in machine.ran, "ran twice"
                assert machine.deadlines[key] > machine.clock.monotonic(), "began after its deadline"
                machine.ran.add(key)
                gate = machine.inside[key] = asyncio.get_running_loop().create_future()
                try:
                    how = await gate
                finally:
                    del machine.inside[key]
                if how == "crash":
                    raise Crash("bug")
                if how == "fail":
                    raise RuntimeError("bug")
                if how == "cancelled":
                    raise asyncio.CancelledError
                return how

        async def sleep(_: float) -> None:
            gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.away.append(gate)
            await gate

        quarantine = Quarantine(threshold=2)
        self.cell = cell_for(server, "Subject", clock=self.clock, sleep=sleep, quarantine=quarantine)
        await self.cell.start()

    def turn(self) -> None:
        async def some() -> None:
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self.loop.run_until_complete(some())

    def in_loop(self, act):
        async def inside():
            return act()

        return self.loop.run_until_complete(inside())

    @rule(
        timeout_s=st.sampled_from([1.0, 3.0, 100.0]),
        cancel=st.sampled_from([False, False, True]),
        turn=st.booleans(),
        caller=st.sampled_from(["a", "a", "b"]),
    )
    def offer(self, timeout_s: float, cancel: bool, turn: bool, caller: str) -> None:
        key = f"k{len(self.offered)}"
        self.offered.append(key)
        call = make_call(
            self.seen, key, self.cell.specs["tool act"], {"key": key}, timeout_s=timeout_s, clock=self.clock,
            caller=caller,
        )  # fmt: skip
        self.deadlines[key] = call.deadline
        ended = len(self.seen.endings)
        full = self.cell.running == CONCURRENCY and self.cell.waiting == MAILBOX
        owner = f"_.{caller}"
        oldest = self.cell._mailbox.oldest(owner)
        waited_s = 0.0 if oldest is None else self.clock.monotonic() - oldest.arrived
        held_up = self.cell.running == CONCURRENCY and not self.cell._pace.fits(
            self.clock.monotonic(), self.cell._mailbox.ahead(owner), timeout_s, waited_s
        )
        state = self.cell.state

        def act():
            refused = self.cell.offer(call)
            if cancel and refused is None:  # before its task has made a step
                assert self.cell.cancel(key, "cancelled")
            return refused

        refused = self.in_loop(act)
        if refused is None:
            assert state == "ready"
            assert not full or len(self.seen.endings) > ended  # another gave way, or had expired
            self.taken.add(key)
        elif state == "ready":
            assert full or held_up
            assert refused == "busy"
        if turn:
            self.turn()

    @precondition(lambda self: self.inside)
    @rule(data=st.data(), how=st.sampled_from(["ok", "ok", "crash", "cancelled", "fail"]))
    def let_go(self, data, how: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.inside)))
        gate = self.inside[key]
        if not gate.done():
            self.in_loop(lambda: gate.set_result(how))
        self.turn()

    @precondition(lambda self: self.offered)
    @rule(data=st.data(), why=st.sampled_from(["cancelled", "deadline"]), turn=st.booleans())
    def cancel(self, data, why: str, turn: bool) -> None:
        key = data.draw(st.sampled_from(self.offered))
        open_ = key in self.taken and key not in self.seen.endings
        assert self.in_loop(lambda: self.cell.cancel(key, why)) == open_
        assert (key in self.seen.endings) == (key in self.taken)
        if turn:
            self.turn()

    @rule(seconds=st.sampled_from([0.5, 2.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.away)
    @rule()
    def wait_is_over(self) -> None:
        gate = self.away.pop(0)
        if not gate.done():
            self.in_loop(lambda: gate.set_result(None))
        self.turn()

    @precondition(lambda self: not self.draining)
    @rule(cut=st.booleans())
    def drain(self, cut: bool) -> None:
        self.draining = True
        if cut:
            self.loop.run_until_complete(self.cell.drain(0))
        else:
            task = self.loop.create_task(self.cell.drain(60))
            self.turn()
            self.drain_task = task
        assert self.cell.state == "draining"

    @invariant()
    def sizes_hold(self) -> None:
        assert len(self.inside) <= CONCURRENCY
        assert self.cell.running <= CONCURRENCY
        assert self.cell.waiting <= MAILBOX

    @invariant()
    def calls_are_conserved(self) -> None:
        open_ = self.taken - self.seen.endings.keys()
        assert self.seen.endings.keys() <= self.taken
        assert self.cell.waiting <= len(open_) <= self.cell.waiting + self.cell.running

    @invariant()
    def endings_say_whether_it_ran(self) -> None:
        for key, ending in self.seen.endings.items():
            if isinstance(ending, NotStarted):
                assert key not in self.ran
            elif isinstance(ending, Completed | Crashed):
                assert key in self.ran

    def teardown(self) -> None:
        async def close() -> None:
            async with asyncio.timeout(30):
                await self.cell.stop(1)

        self.loop.run_until_complete(close())
        self.turn()
        assert self.seen.endings.keys() == self.taken
        assert (self.cell.running, self.cell.waiting, self.inside) == (0, 0, {})
        assert len(self.cell._tasks) == 0
        assert all(
            isinstance(e, NotStarted | Cancelled | Completed | Crashed) for e in self.seen.endings.values()
        )
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


TestActorCell = Machine.TestCase
TestActorCell.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
