"""`ActorCell`: one actor with its mailbox, its running calls and its state.

A function is an actor with one tool; a class of actors one with several. `offer` never waits: a call
begins at once, waits in the mailbox, or is refused. Every call that was taken ends exactly once, through its sink.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from longreach.actor.call import Call, Cancelled, Completed, Crashed, Ending, NotStarted
from longreach.actor.context import Context, Place, enter_context
from longreach.actor.results import error_result, to_result
from longreach.actor.runners import ProcessDied, ProcessSlots, ThreadSlots
from longreach.errors import InvalidResult, ToolError
from longreach.observe import event
from longreach.policy.lifecycle import ACTOR, step
from longreach.policy.quarantine import Quarantine
from longreach.tasks import TaskSet
from longreach.wire.schema import InvalidArguments

if TYPE_CHECKING:
    from longreach.actor.server import Actor
    from longreach.actor.spec import ToolSpec
    from longreach.policy.restart import ExitKind
    from longreach.wire.codes import NotStartedReason

_log = logging.getLogger("longreach.actor")
_REFUSALS: dict[str, NotStartedReason] = {
    "starting": "not_here",
    "crashed": "crashed",
    "restarting": "crashed",
    "quarantined": "crashed",
    "draining": "draining",
    "stopped": "not_here",
}
_STOP_HOOK_TIMEOUT_S = 5.0

StateListener = Callable[["ActorCell", str, str], None]


class _Running:
    """A call that has begun."""

    __slots__ = ("abandoned", "call", "context", "ended", "task")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.ended = False
        self.abandoned = False
        self.context: Context | None = None
        self.task: asyncio.Task[Any] | None = None


class ActorCell:
    """One actor.

    Args:
        name: for logs: the tool's name, or the class's.
        tools: its tools by name.
        concurrency: how many calls run at once.
        mailbox: how many more wait.
        place: where it is.
        cls: the class whose instance has the state; None for a function.
        quarantine: decides about crashes.
    """

    def __init__(
        self,
        name: str,
        tools: Mapping[str, ToolSpec],
        *,
        concurrency: int,
        mailbox: int,
        place: Place,
        cls: type[Actor] | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.name = name
        self.tools = tools
        self.concurrency = concurrency
        self.state = "starting"
        self._place = place
        self._clock = place.clock
        self._cls = cls
        self._instance: Actor | None = None
        self._quarantine = quarantine or Quarantine()
        self._mailbox: deque[Call] = deque()
        self._mailbox_size = mailbox
        self._running: dict[str, _Running] = {}
        self._slots = 0
        self._tasks = TaskSet(f"actor {name}")
        self._listeners: list[StateListener] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._exited: asyncio.Future[ExitKind] | None = None
        self._threads = ThreadSlots(concurrency)
        self._processes = ProcessSlots(concurrency)

    @property
    def waiting(self) -> int:
        """How many calls wait in the mailbox."""
        return len(self._mailbox)

    @property
    def running(self) -> int:
        """How many slots are taken: calls that run, and abandoned threads that have not ended."""
        return self._slots

    def on_state(self, listener: StateListener) -> None:
        """Call `listener(cell, old, new)` at each change of state."""
        self._listeners.append(listener)

    # What a supervisor does with it

    async def start(self) -> None:
        """Make the state, and be ready. What the actor's `started` raises comes out of here."""
        self._exited = asyncio.get_running_loop().create_future()
        await self._begin()

    async def wait(self) -> ExitKind:
        """Wait until it has ended for good, and say how."""
        assert self._exited is not None
        return await asyncio.shield(self._exited)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """End: running calls are stopped, waiting ones refused."""
        if self.state == "stopped":
            return
        if self.state != "draining":
            self._move("drain")
        self.cut_off("draining")
        await self._idle_within(timeout_s)
        await self._drop_instance()
        self._move("stop")
        self._exit("shutdown")
        await self._tasks.close(timeout_s)

    async def drain(self, timeout_s: float) -> None:
        """Take no more; let what is here end, at most `timeout_s`, then cut it off."""
        if self.state in ("stopped", "draining"):
            return
        self._move("drain")
        if not await self._idle_within(timeout_s):
            self.cut_off("drain")

    def cut_off(self, why: str) -> None:
        """End every call now: what runs is stopped, what waits is refused."""
        self._refuse_waiting("draining")
        for entry in tuple(self._running.values()):
            self._abort(entry, Cancelled("drain" if why == "draining" else why))

    # What the node does with it

    def offer(self, call: Call) -> NotStartedReason | None:
        """Take a call: begin it, or keep it in the mailbox; or say why not. Never waits."""
        if self.state != "ready":
            return _REFUSALS[self.state]
        if self._slots < self.concurrency:
            self._begin_call(call)
        elif len(self._mailbox) < self._mailbox_size:
            self._mailbox.append(call)
        else:
            return "busy"
        return None

    def cancel(self, key: str, why: str) -> bool:
        """End a call: stop it if it runs, forget it if it waits. False if it is not here."""
        entry = self._running.get(key)
        if entry is not None:
            self._abort(entry, Cancelled(why))
            return True
        for call in self._mailbox:
            if call.key == key:
                self._mailbox.remove(call)
                reason: NotStartedReason = "expired" if why == "deadline" else "draining"
                call.sink.ended(call, NotStarted(reason))
                return True
        return False

    # Calls

    def _begin_call(self, call: Call) -> None:
        self._slots += 1
        if self._slots == 1:
            self._idle.clear()
        entry = _Running(call)
        self._running[call.key] = entry
        entry.task = self._tasks.spawn(self._run(entry))

    async def _run(self, entry: _Running) -> None:
        """Run one call; its slot is free when this ends, or when its abandoned thread has."""
        call = entry.call
        try:
            ending = await self._handle(entry)
        except asyncio.CancelledError:
            if entry.ended:  # we cancelled it, and the call has its ending
                self._release(entry)
                return
            ending = Completed(self._failure(call, asyncio.CancelledError("the handler cancelled itself")))
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises ends in this cell
            ending = self._crash(entry, error)
        self._finish(entry, ending)
        self._release(entry)

    async def _handle(self, entry: _Running) -> Ending:
        call = entry.call
        spec = self.tools[call.tool]
        schema = spec.schema
        try:
            kwargs = schema.decode_arguments(call.arguments)
        except InvalidArguments as problem:
            return Completed(error_result(str(problem)))
        context = entry.context = Context(call, self._place, asyncio.get_running_loop())
        enter_context(context)
        if schema.context_parameter is not None:
            kwargs[schema.context_parameter] = context
        try:
            value = await self._invoke(spec, kwargs, entry)
            return Completed(to_result(value, schema))
        except ToolError as error:
            return Completed(error_result(str(error)))
        except InvalidResult as error:
            return Completed(self._failure(call, error))
        except Exception as error:  # noqa: BLE001 - a function's exception is a tool error, by contract
            if self._cls is not None or isinstance(error, ProcessDied):
                return self._crash(entry, error)
            return Completed(self._failure(call, error))

    async def _invoke(self, spec: ToolSpec, kwargs: dict[str, Any], entry: _Running) -> Any:
        function = spec.function
        if self._instance is not None:
            function = getattr(self._instance, function.__name__)
        if spec.kind == "async":
            return await function(**kwargs)
        if spec.kind == "process":
            return await self._processes.run(function, kwargs)
        entry.abandoned = True  # from now on the slot is freed by the thread's end
        return await self._threads.run(function, kwargs, lambda: self._thread_ended(entry))

    def _thread_ended(self, entry: _Running) -> None:
        entry.abandoned = False
        if entry.ended:
            self._release(entry)

    def _failure(self, call: Call, error: BaseException) -> Any:
        """A tool error that tells the caller nothing but where to look."""
        reference = secrets.token_hex(4)
        _log.error(
            "handler.failed",
            extra={"event_fields": {"tool": call.tool, "reference": reference}},
            exc_info=error,
        )
        return error_result(f"{call.tool} failed; the log of {self._place.node} has it as {reference}")

    def _finish(self, entry: _Running, ending: Ending) -> None:
        if entry.ended:
            return
        entry.ended = True
        if entry.context is not None:
            entry.context.finish()
        entry.call.sink.ended(entry.call, ending)

    def _release(self, entry: _Running) -> None:
        if entry.abandoned or self._running.get(entry.call.key) is not entry:
            return
        del self._running[entry.call.key]
        self._slots -= 1
        self._next()
        if self._slots == 0:
            self._idle.set()

    def _next(self) -> None:
        """Begin what waits, as far as there is room; what came too late is refused."""
        while self._mailbox and self._slots < self.concurrency and self.state in ("ready", "draining"):
            call = self._mailbox.popleft()
            if call.deadline <= self._clock.monotonic():
                call.sink.ended(call, NotStarted("expired"))
            else:
                self._begin_call(call)

    def _abort(self, entry: _Running, ending: Ending) -> None:
        self._finish(entry, ending)
        if entry.task is not None and entry.task is not asyncio.current_task():
            entry.task.cancel()

    def _refuse_waiting(self, reason: NotStartedReason) -> None:
        while self._mailbox:
            call = self._mailbox.popleft()
            call.sink.ended(call, NotStarted(reason))

    # Crashes

    def _crash(self, entry: _Running, error: BaseException) -> Ending:
        """A call has crashed the actor: end everything here, and come back with fresh state."""
        reference = secrets.token_hex(4)
        _log.error(
            "actor.crashed",
            extra={"event_fields": {"actor": self.name, "tool": entry.call.tool, "reference": reference}},
            exc_info=error,
        )
        if self.state == "ready":
            self._move("crash")
            self._refuse_waiting("crashed")
            for other in tuple(self._running.values()):
                if other is not entry:
                    self._abort(other, Crashed(reference))
            verdict = self._quarantine.crashed(self._clock.monotonic(), random.random)
            self._move("quarantine" if verdict.state == "quarantined" else "restart")
            self._tasks.start(self._come_back(verdict.delay_s), name=f"restart {self.name}")
        return Crashed(reference)

    async def _come_back(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await self._drop_instance()
        if self.state not in ("restarting", "quarantined"):
            return
        self._move("retry")
        try:
            await self._begin()
        except Exception as error:  # noqa: BLE001 - the supervisor decides what it means
            event(_log, "actor.start_failed", logging.ERROR, actor=self.name, reason=repr(error))
            self._exit("start_failed")

    async def _begin(self) -> None:
        try:
            if self._cls is not None:
                self._instance = self._cls()
                await self._instance.started()
        except BaseException:
            self._instance = None
            if self.state == "starting":
                self._move("start_failed")
            raise
        if self.state == "starting":
            self._move("started")

    async def _drop_instance(self) -> None:
        instance, self._instance = self._instance, None
        if instance is None:
            return
        try:
            async with asyncio.timeout(_STOP_HOOK_TIMEOUT_S):
                await instance.stopped()
        except Exception:  # noqa: BLE001 - a hook's mistake must not keep the actor from coming back
            _log.exception("actor.stopped_hook_failed", extra={"event_fields": {"actor": self.name}})

    def _exit(self, kind: ExitKind) -> None:
        if self._exited is not None and not self._exited.done():
            self._exited.set_result(kind)

    def _move(self, what: str) -> None:
        old = self.state
        self.state = step(ACTOR, old, what)
        if self.state != old:
            for listener in tuple(self._listeners):
                listener(self, old, self.state)

    async def _idle_within(self, timeout_s: float) -> bool:
        if self._slots == 0 and not self._mailbox:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
