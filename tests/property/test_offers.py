"""Whatever becomes of an offer, it is charged when it comes and its charge is given back exactly once.

A state machine over one node: callers offer, put parts (right and wrong ones), send small calls, and
cancel; handlers end, actors crash, time passes, the node drains. The clock is fake; the loop is real,
and turned by hand; bodies are unpacked without a thread.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.support.hosts import node
from tests.support.parts import PartsAsker, request

from longreach import Actor, Limits, Node, Server, ToolError, tool
from longreach.clock import FakeClock
from longreach.node import requests as requests_module
from longreach.threads import ThreadPool
from longreach.transport.memory import MemoryBroker

CONCURRENCY, MAILBOX, OF_ONE_CALLER = 2, 4, 3
TURNS = 40
BODY = request("work", text="x" * 6000)
CALLERS = ("alice", "bob", "carol")


async def at_once(_: ThreadPool, function: Callable[..., Any], *args: Any) -> Any:
    """Instead of a thread: one turn of the loop later."""
    await asyncio.sleep(0)
    return function(*args)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.patch = mock.patch.object(requests_module, "in_thread", at_once)
        self.patch.start()
        self.clock = FakeClock()
        self.number = 0
        self.gates: list[asyncio.Future[str]] = []
        self.offered: dict[str, tuple[str, bytes]] = {}
        self.cancelled: set[str] = set()
        self.sent: Counter[str] = Counter()
        self.draining = False
        self.loop.run_until_complete(self.open())

    async def open(self) -> None:
        server = Server("docs", version="1.0.0", limits=Limits(concurrency=OF_ONE_CALLER))
        machine = self

        class Board(Actor):
            @tool(timeout_s=600)
            async def work(self, text: str) -> str:
                gate = asyncio.get_running_loop().create_future()
                machine.gates.append(gate)
                how = await gate
                if how == "crash":
                    raise SystemExit
                if how == "error":
                    raise ToolError("no")
                return "done"

        server.add_actor(Board, concurrency=CONCURRENCY, mailbox=MAILBOX)
        self.broker = MemoryBroker(max_payload=4096)
        self.host: Node = node(
            self.broker,
            server,
            clock=self.clock,
            drain_timeout_s=0.01,
            max_body_bytes=len(BODY),  # room for two bodies of one caller, four of all
        )
        await self.host.start()
        self.askers = {
            name: PartsAsker(self.broker, self.host.instance, asker=f"_.{name}") for name in CALLERS
        }
        assert self.host._parts is not None
        self.host._parts.slow.close()  # its timers are of the real time, and would make runs differ
        self.cell._sleep = lambda _: asyncio.sleep(0)
        self.requests = self.host._parts.large.requests
        self.calls = self.host._parts.intake.calls

    @property
    def cell(self) -> Any:
        (cell,) = set(self.host._hosted[0]._owners.values()) or {None}
        return cell

    @property
    def limiter(self) -> Any:
        return self.host._hosted[0]._limiting._of_server

    def turn(self, first: Callable[[], object] = lambda: None) -> None:
        async def turns() -> None:
            first()
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def new_call(self, caller: str, lasts_s: float) -> str:
        self.number += 1
        call = f"{self.number}-{self.clock.wall_ms() + int(lasts_s * 1000):x}-f"
        self.sent[call] += 1
        self.offered[call] = (caller, b"")
        return call

    # What callers do

    @rule(
        caller=st.sampled_from(CALLERS),
        lasts_s=st.sampled_from([5.0, 500.0]),
        kind=st.sampled_from(["right", "right", "damaged", "malformed", "inline", "small"]),
        put=st.booleans(),
    )
    def offer(self, caller: str, lasts_s: float, kind: str, put: bool) -> None:
        call = self.new_call(caller, lasts_s)
        body = {"malformed": b"[1]" * 2000, "small": request("work", text="x")}.get(kind, BODY)
        parts = body[:-3] + b"   " if kind == "damaged" else body
        self.offered[call] = (caller, parts)
        inline = min(len(body), 3000) if kind in ("inline", "small") else 0
        self.turn(lambda: self.askers[caller].offer("work", body, call, inline=inline))
        if put:
            self.put_all(call)

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def offer_again(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(sorted(self.offered)))
        caller, body = self.offered[call]
        if body and call in self.keys():
            self.turn(lambda: self.askers[caller].offer("work", body, call))

    @rule(caller=st.sampled_from(CALLERS))
    def call(self, caller: str) -> None:
        call = self.new_call(caller, 500.0)
        self.turn(lambda: self.askers[caller].call("work", call, text="small"))

    @precondition(lambda self: len(self.requests))
    @rule(data=st.data(), whole=st.booleans())
    def put(self, data: st.DataObject, whole: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.requests._coming)))
        self.put_all(key.rpartition(".")[2], 20 if whole else 1)

    def put_all(self, call: str, most: int = 20) -> None:
        caller, body = self.offered[call]
        for _ in range(most):
            coming = {key.rpartition(".")[2]: offered for key, offered in self.requests._coming.items()}
            if call not in coming or coming[call].window.is_whole:
                break
            have = coming[call].window.have
            self.turn(partial(self.askers[caller].put, body, have, 2500, call))

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(sorted(self.offered)))
        self.cancelled.add(call)
        caller = self.offered[call][0]
        body = msgspec.json.encode({"calls": [call]})
        self.turn(lambda: self.askers[caller].verb("cancel", body, "9-0-f"))

    # What happens to the node

    @precondition(lambda self: self.gates)
    @rule(how=st.sampled_from(["done", "done", "error", "crash"]))
    def end(self, how: str) -> None:
        gate = self.gates.pop(0)
        self.turn(lambda: gate.done() or gate.set_result(how))

    @rule(seconds=st.sampled_from([0.1, 4.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        offers = tuple(self.requests._coming.values())
        self.turn(lambda: [offered.moved.set() for offered in offers])

    @precondition(lambda self: not self.draining)
    @rule()
    def drain(self) -> None:
        self.draining = True
        self.turn(self.requests.drain)

    # What holds

    def keys(self) -> set[str]:
        open_ = {*self.requests._coming, *self.calls}
        return {key.rpartition(".")[2] for key in open_}

    @invariant()
    def limits_count_what_is_open(self) -> None:
        owners = Counter(key.split(".")[1] for key in (*self.requests._coming, *self.calls))
        counted = {key.split(".")[1]: count for key, count in self.limiter._under_way.items()}
        assert counted == dict(owners)
        assert all(count <= OF_ONE_CALLER for count in counted.values())

    @invariant()
    def places_are_kept_for_what_is_coming(self) -> None:
        cell = self.cell
        if cell is None:
            assert not self.requests._coming
            return
        assert set(cell._mailbox.coming) == set(self.requests._coming)
        assert cell.running + cell.waiting + len(cell._mailbox.coming) <= CONCURRENCY + MAILBOX
        assert cell.waiting <= MAILBOX

    @invariant()
    def room_is_held_by_what_has_a_body(self) -> None:
        requests = self.requests
        requests._settle()
        room = requests._room
        assert set(room._askers) == {*requests._coming, *requests._whole}
        assert room.used <= room._of_all
        for key in requests._whole:
            assert self.calls[key].cell.waits(key)

    @invariant()
    def the_book_has_what_is_open(self) -> None:
        assert self.host._parts is not None
        book = self.host._parts.intake.book
        assert set(book._here) == {*self.requests._coming, *self.calls}

    @invariant()
    def each_is_answered_once_or_still_here(self) -> None:
        answers = Counter(
            each.call for asker in self.askers.values() for each in asker.heard if each.kind is None
        )
        for call in self.offered:
            if call in self.keys():
                assert answers[call] == 0
            elif call in self.cancelled:
                assert answers[call] <= 1
            else:
                assert answers[call] == 1, f"{call} was answered {answers[call]} times"

    def teardown(self) -> None:
        async def close() -> None:
            async with asyncio.timeout(10):
                await self.host.stop()

        self.loop.run_until_complete(close())
        self.turn()
        assert (len(self.requests), self.requests._room.used) == (0, 0)
        assert self.limiter._under_way == {}
        self.patch.stop()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


TestOffers = Machine.TestCase
TestOffers.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
