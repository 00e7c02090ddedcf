"""Whatever comes out of whichever handler ends exactly that call, and no other handler notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.actors import Recorder, eventually, make_call

from longreach.actor.call import Completed, Crashed, Failed
from longreach.actor.cell import ActorCell
from longreach.actor.context import Context
from longreach.actor.raw import RawRequest
from longreach.actor.server import Actor, Server, resource, tool
from longreach.actor.tree import ServerTree
from longreach.clock import SYSTEM_CLOCK
from longreach.errors import (
    Crash,
    InputNeeded,
    NotFound,
    OutcomeUnknown,
    ProtocolError,
    RemoteError,
    ToolError,
)
from longreach.errors import NotStarted as NotStartedError
from longreach.policy.quarantine import Quarantine
from longreach.threads import NoRoom
from longreach.wire.completion import argument_of, decode_complete


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of tracebacks, each one meant, take most of the time."""
    caplog.set_level(logging.CRITICAL, "longreach")


class Own(BaseException):
    """Of a library that means well."""


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class UnspeakableToolError(ToolError):
    __str__ = Unspeakable.__str__


class Broken(Exception):
    """What the actor is added with as `crash_on`."""


CRASHES: list[Callable[[], BaseException]] = [
    SystemExit, KeyboardInterrupt, GeneratorExit, BaseException, Own, MemoryError, Crash,
    lambda: Crash("spoilt"),
    lambda: SystemExit("with", "words"),
    lambda: BaseExceptionGroup("g", [ValueError(), SystemExit()]),
    lambda: ExceptionGroup("g", [ToolError("no"), ExceptionGroup("h", [MemoryError()])]),
    lambda: ExceptionGroup("g", [Crash()]),
]  # fmt: skip
FAILURES: list[Callable[[], BaseException]] = [
    RuntimeError, KeyError, StopIteration, StopAsyncIteration, TimeoutError, asyncio.CancelledError,
    RecursionError, AssertionError, NoRoom, OSError, Unspeakable,
    lambda: ToolError("no"),
    lambda: ProtocolError(-32001, "no", {"reason": "cut_off"}),
    lambda: NotStartedError("a nested call was refused", reason="busy"),
    lambda: NotFound("a nested call"),
    lambda: OutcomeUnknown("a nested call"),
    lambda: RemoteError("a nested call", reason="cut_off"),
    lambda: InputNeeded("a nested call", {}, None),
    lambda: ExceptionGroup("g", [ValueError(), ToolError("no")]),
    lambda: BaseExceptionGroup("g", [asyncio.CancelledError()]),
]  # fmt: skip
# Its text is asked for while the call ends; what that raises is what came out of the handler.
CRASHES.append(lambda: UnspeakableToolError("x"))

ASYNC = ["tool", "prompt", "resource", "template", "completion", "raw"]
THREADED = ["tool-thread", "prompt-thread", "resource-thread", "completion-thread"]
METHODS = ["method", "method-thread", "method-resource"]
KINDS = ASYNC + THREADED + METHODS
HOWS = ["raised", "later", "future", "step"]


class World:
    """One server with a handler of each kind, and a call that waits in a bystander of each sort."""

    def __init__(self, authorize: Any = None) -> None:
        self.error: BaseException | None = None
        self.how = "raised"
        self.gate = asyncio.Event()
        self.seen = Recorder()
        self.server = self._declare(authorize)
        self.tree = ServerTree(self.server, clock=SYSTEM_CLOCK, region="eu", node="n.1")
        self.count = 0

    def _declare(self, authorize: Any) -> Server:
        world, server = self, Server("s", authorize=authorize)

        def act() -> str:
            error, world.error = world.error, None
            if error is not None:
                raise error
            return "fine"

        async def act_async(ctx: Context | None = None) -> str:
            if world.error is not None and world.how == "later":
                await asyncio.sleep(0)
            elif world.error is not None and world.how == "future" and _fits_a_future(world.error):
                error, world.error = world.error, None
                future = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_soon(future.set_exception, error)
                await future
            elif world.error is not None and world.how == "step" and ctx is not None:
                await ctx.step("one", later)
            return act()

        async def later() -> str:
            await asyncio.sleep(0)
            return act()

        async def wait() -> str:
            await world.gate.wait()
            return "waited"

        class Stateful(Actor):
            def __init__(self) -> None:
                self.calls = 0

            @tool
            async def method(self, ctx: Context = Context.injected) -> str:
                self.calls += 1
                return f"{await act_async(ctx)} {self.calls}"

            @tool(name="method-thread")
            def method_thread(self) -> str:
                self.calls += 1
                return f"{act()} {self.calls}"

            @resource("a://method")
            async def method_resource(self) -> str:
                self.calls += 1
                return f"{await act_async()} {self.calls}"

        class Bystander(Actor):
            @tool
            async def beside(self) -> str:
                return await wait()

        async def tool_async(ctx: Context = Context.injected) -> str:
            return await act_async(ctx)

        async def bare() -> str:
            return await act_async()

        async def completing(so_far: str) -> list[str]:
            return [await act_async()]

        async def raw(request: RawRequest) -> bytes:
            return b'{"content":[{"type":"text","text":"%b"}]}' % (await act_async()).encode()

        server.add_tool(tool_async, name="tool")
        server.add_tool(act, name="tool-thread")
        server.add_tool(wait, name="wait")
        server.add_prompt(bare, name="prompt")
        server.add_prompt(act, name="prompt-thread")
        server.add_resource("a://resource", bare)
        server.add_resource("a://resource-thread", act)

        async def template(x: str) -> str:
            return await act_async()

        server.add_resource("a://template/{x}", template)
        server.add_prompt(lambda x, y: "", name="p", complete={"x": completing, "y": lambda so_far: [act()]})
        server.add_raw("tool", {"name": "raw", "inputSchema": {"type": "object"}}, raw)
        server.add_actor(Stateful, crash_on=(Broken, LookupError))
        server.add_actor(Bystander)
        return server

    def cell(self, kind: str) -> tuple[ActorCell, Any]:
        """The cell of a kind, and its spec."""
        wanted = {
            "method-resource": "resource a://method",
            "resource": "resource a://resource",
            "resource-thread": "resource a://resource-thread",
            "template": "template a://template/{x}",
            "prompt": "prompt prompt",
            "prompt-thread": "prompt prompt-thread",
        }.get(kind, f"tool {kind}")
        if kind.startswith("completion"):
            argument = "y" if kind.endswith("thread") else "x"
            wanted = f"completion {argument_of('prompt', 'p', argument)}"
        for cell in self.tree.cells:
            if wanted in cell.specs:
                return cell, cell.specs[wanted]
        raise AssertionError(wanted)

    def offer(self, kind: str) -> tuple[str, Any]:
        """Offer a call; its key, and the refusal if it was refused."""
        cell, spec = self.cell(kind)
        self.count += 1
        key = f"{kind} {self.count}"
        call = make_call(self.seen, key, spec)
        call.data = b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"raw"}}'
        if kind == "template":
            call.params.uri = "a://template/1"
        if kind.startswith("completion"):
            argument = "y" if kind.endswith("thread") else "x"
            call.params = decode_complete(
                msgspec.json.encode({
                    "jsonrpc": "2.0", "id": 1, "method": "completion/complete",
                    "params": {
                        "ref": {"type": "ref/prompt", "name": "p"},
                        "argument": {"name": argument, "value": ""},
                    },
                })
            ).params  # fmt: skip
        return key, cell.offer(call)

    async def call(self, kind: str) -> Any:
        key, refused = self.offer(kind)
        assert refused is None, (kind, refused)
        return await self.seen.ending(key)

    async def fail(self, kind: str, error: BaseException, how: str) -> Any:
        self.error, self.how = error, how
        return await self.call(kind)


def _fits_a_future(error: BaseException) -> bool:
    return not isinstance(error, StopIteration | asyncio.CancelledError)


def _is_told(ending: Any) -> bool:
    """Whether the caller was told that the call ran, and failed."""
    return isinstance(ending, Failed) or (
        isinstance(ending, Completed) and getattr(ending.result, "is_error", False)
    )


def _said(ending: Any) -> str:
    return repr(
        msgspec.to_builtins(ending.result)
        if ending.result.__class__.__name__ != "RawResult"
        else ending.result
    )


async def _scene(steps: list[tuple[str, int, bool, str]]) -> None:
    world = World()
    await world.tree.start()
    try:
        bystanders = [world.offer("wait")[0], world.offer("beside")[0]]
        for cell in world.tree.cells:
            cell._quarantine = Quarantine(threshold=100, restart_s=0.0)
        calls_before = 0
        for kind, number, crashing, how in steps:
            make = (CRASHES if crashing else FAILURES)[number % len(CRASHES if crashing else FAILURES)]
            error = make()
            cell, _ = world.cell(kind)
            # What `crash_on` names crashes the actor alone.
            crashes = crashing or (kind in METHODS and isinstance(error, LookupError))
            ending = await world.fail(kind, error, how)
            if crashes:
                assert isinstance(ending, Crashed), (kind, error.__class__, how, ending)
            else:
                assert _is_told(ending), (kind, error.__class__, how, ending)
            if kind in METHODS:
                calls_before = 0 if crashes else calls_before + 1
                await eventually(lambda cell=cell: cell.state == "ready")
            else:
                assert cell.state == "ready"
            # Every handler is there, that one too, and the state is what the methods left.
            for other in KINDS:
                answered = await world.call(other)
                assert isinstance(answered, Completed), (kind, other, answered)
                if other in METHODS:
                    calls_before += 1
                    assert f"fine {calls_before}" in _said(answered)
            assert not set(bystanders) & world.seen.endings.keys()
        world.gate.set()
        for key in bystanders:
            assert "waited" in await world.seen.text(key)
        assert all(cell.running == 0 for cell in world.tree.cells) or await _idle(world)
    finally:
        await world.tree.stop()


async def _idle(world: World) -> bool:
    await eventually(lambda: all(cell.running == 0 for cell in world.tree.cells))
    return True


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 100), st.booleans(), st.sampled_from(HOWS)),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_comes_out_of_a_handler_ends_that_call_and_no_other(
    steps: list[tuple[str, int, bool, str]],
):
    asyncio.run(_scene(steps))


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_exception_out_of_each_kind_of_handler(kind: str, how: str):
    steps = [(kind, number, crashing, how) for crashing in (True, False) for number in range(len(FAILURES))]
    asyncio.run(_scene(steps))
