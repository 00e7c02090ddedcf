"""`ActorCell`: one actor with its mailbox, its running calls and its state.

A function is an actor with one handler; a class of actors one with several. `offer` never waits: a call
begins at once, waits in the mailbox, which is fair among callers, or is refused. Every call that was taken
ends exactly once, through its sink.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from longreach.actor.authorizing import AuthorizedHandling
from longreach.actor.call import Call, Cancelled, Coming, Crashed, Ending, NotStarted
from longreach.actor.context import Place
from longreach.actor.crashes import CrashOn, is_crash
from longreach.actor.handling import Handling, report
from longreach.actor.incarnation import Incarnation
from longreach.actor.runner import Runner
from longreach.listeners import Listeners
from longreach.observe import described, event
from longreach.policy.lifecycle import ACTOR, step
from longreach.policy.mailbox import Mailbox, Waiting
from longreach.policy.pace import Pace
from longreach.policy.quarantine import Quarantine, Verdict
from longreach.tasks import TaskSet

if TYPE_CHECKING:
    from longreach.actor.spec import HandlerSpec
    from longreach.actor.stateful import Actor
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
_HOOK_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 0.5

StateListener = Callable[["ActorCell", str, str], None]


class ActorCell:
    """One actor.

    Args:
        name: for logs: the handler's name, or the class's.
        specs: its handlers by their ids.
        concurrency: how many calls run at once.
        mailbox: how many more wait.
        place: where it is.
        cls: the class whose instance has the state; None for a function.
        crash_on: exceptions that crash it, besides those that always do.
        quarantine: decides about crashes.
        sleep: waits before a restart.
    """

    def __init__(
        self,
        name: str,
        specs: Mapping[str, HandlerSpec],
        *,
        concurrency: int,
        mailbox: int,
        place: Place,
        cls: type[Actor] | None = None,
        crash_on: CrashOn = (),
        quarantine: Quarantine | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.specs = specs
        self.concurrency = concurrency
        self.state = "starting"
        self._clock = place.clock
        self._incarnation = Incarnation(name, cls)
        self._is_stateful = cls is not None
        self._crash_on = crash_on
        self._quarantine = quarantine or Quarantine()
        self._sleep = sleep
        handling = Handling if place.authorizer is None else AuthorizedHandling
        self._handling = handling(
            specs.values(),
            place,
            concurrency=concurrency,
            crash_on=crash_on,
            thread_ended=self._thread_ended,
        )
        self._mailbox: Mailbox[Call] = Mailbox(mailbox)
        self._waiting = self._mailbox.owners  # as truth it costs nothing
        self._coming = self._mailbox.coming
        self._pace = Pace(concurrency)
        self._running: dict[str, Call] = {}
        self._slots = 0
        self._lost = 0
        self._tasks = TaskSet(f"actor {name}")
        self._runner = Runner(self._run, self._tasks, place.clock.monotonic)
        self._listeners: Listeners[[ActorCell, str, str]] = Listeners(f"state of {name}")
        self._idle: asyncio.Future[None] | None = None  # there only while somebody waits for it
        self._exited: asyncio.Future[ExitKind] | None = None
        self._coming_back: asyncio.Task[None] | None = None
        self._suspended = False

    @property
    def capacity(self) -> int:
        """How many calls it can have at once: those that run and those that wait."""
        return self.concurrency + self._mailbox.size

    @property
    def waiting(self) -> int:
        """How many calls wait in the mailbox."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many slots are taken: calls that run, and abandoned threads that have not ended."""
        return self._slots

    def on_state(self, listener: StateListener) -> None:
        """Call `listener(cell, old, new)` at each change of state."""
        self._listeners.add(listener)

    # What a supervisor does with it

    async def start(self) -> None:
        """Make the state, and be ready. What the actor's `started` raises comes out of here."""
        self._exited = asyncio.get_running_loop().create_future()
        await self._begin()

    async def wait(self) -> ExitKind:
        """Wait until it has ended for good, and say how."""
        assert self._exited is not None
        return await asyncio.shield(self._exited)

    async def stop(self, timeout_s: float = _HOOK_TIMEOUT_S) -> None:
        """End: running calls are stopped, waiting ones refused. Takes about `timeout_s` at most."""
        try:
            if self.state not in ("stopped", "draining"):
                self._move("drain")
            self.cut_off("drain")
            if self._coming_back is not None:
                _ = self._coming_back.cancel()
            if not await self._idle_within(timeout_s / 2):
                event(_log, "actor.stuck", logging.WARNING, actor=self.name, running=self._slots)
            await self._incarnation.end(timeout_s / 2)
        finally:
            self._move("stop")
            self._exit("shutdown")
            await self._tasks.close(_CLOSE_TIMEOUT_S)

    async def drain(self, timeout_s: float) -> None:
        """Take no more; let what is here end, at most `timeout_s`, then cut it off.

        Asked again with less time while it drains, it cuts off after that.
        """
        if self.state == "stopped":
            return
        if self.state != "draining":
            self._move("drain")
        self._refuse_coming("draining")
        if not await self._idle_within(timeout_s):
            self.cut_off("drain")

    def cut_off(self, why: str) -> None:
        """End every call now: what runs is stopped, what waits is refused."""
        self._refuse_waiting("draining")
        self._abort_running(Cancelled(why))

    def suspend(self) -> None:
        """Leave the group until `resume`: refuse what waits, and let what runs go on. Of functions only."""
        self._suspended = True
        if self.state == "ready":
            self._move("suspend")
            self._refuse_waiting("crashed")

    def resume(self) -> None:
        """Be ready again, unless a crash keeps it from that."""
        if not self._suspended:
            return
        self._suspended = False
        if self.state == "restarting" and (self._coming_back is None or self._coming_back.done()):
            self._move("retry")
            self._move("started")

    # What the node does with it

    def offer(self, call: Call) -> NotStartedReason | None:
        """Take a call: begin it, or keep it in the mailbox; or say why not. Never waits."""
        if self.state != "ready":
            return _REFUSALS[self.state]
        if self._slots < self.concurrency:
            self._begin_call(call)
            if self._coming:
                self._give_way(self._mailbox.overflow(self.concurrency - self._slots))
            return None
        return self._keep(call)

    def reserve(self, coming: Coming) -> NotStartedReason | None:
        """Keep a place for a request that is not whole yet, as for one that waits; or say why not.

        What runs, waits and comes is never more than `concurrency` and the mailbox together, so that there is
        a place for it when it is whole, and the place was given back with `release`.
        """
        if self.state != "ready":
            return _REFUSALS[self.state]
        spare = max(0, self.concurrency - self._slots)
        now = self._clock.monotonic()
        if not (spare or self._fits(coming.owner, coming.deadline, now)):
            return "busy"
        refused = self._mailbox.reserve(coming.owner, coming, spare)
        if refused is coming:
            return "busy"
        self._give_way(refused)
        return None

    def release(self, key: str) -> None:
        """Give back the place that was kept for a request, if one was."""
        self._mailbox.release(key)

    def waits(self, key: str) -> bool:
        """Whether a call waits in the mailbox."""
        return key in self._waiting

    def turn_away(self, key: str) -> None:
        """Refuse a call that waits, because there is no room for it on the node."""
        self._give_way(self._mailbox.remove(key))

    def retry_after_ms(self) -> int:
        """When it makes sense to ask an actor again that is busy."""
        now = self._clock.monotonic()
        oldest = next(iter(self._running.values()), None)
        running_s = 0.0 if oldest is None else now - (oldest.left_mailbox or oldest.arrived)
        return round(self._pace.retry_after_s(len(self._waiting), running_s) * 1000)

    def cancel(self, key: str, why: str) -> bool:
        """End a call: stop it if it runs, forget it if it waits. False if it is not here."""
        call = self._running.get(key)
        if call is not None:
            if call.ended:
                return False
            self._abort(call, Cancelled(why))
            return True
        call = self._mailbox.remove(key)
        if call is None:
            return False
        call.sink.ended(call, NotStarted("expired" if why == "deadline" else "not_here"))
        return True

    # Calls

    def _keep(self, call: Call) -> NotStartedReason | None:
        """Let a call wait, if it can end in time; where the mailbox is full, the longest queue gives way."""
        mailbox, owner, now = self._mailbox, f"{call.via}.{call.caller}", self._clock.monotonic()
        if mailbox.is_full:
            for late in mailbox.drop_expired(now):
                late.sink.ended(late, NotStarted("expired"))
        if not self._fits(owner, call.deadline, now):
            return "busy"
        refused = mailbox.put(owner, call)
        if refused is call:
            return "busy"
        self._give_way(refused)
        return None

    def _fits(self, owner: str, deadline: float, now: float) -> bool:
        """Whether a call of `owner` that waits can end in time."""
        oldest = self._mailbox.oldest(owner)
        waited_s = 0.0 if oldest is None else now - oldest.arrived
        return self._pace.fits(now, self._mailbox.ahead(owner), deadline - now, waited_s)

    def _give_way(self, refused: Call | Waiting | None) -> None:
        """Refuse what another one took the place of."""
        if isinstance(refused, Call):
            refused.sink.ended(refused, NotStarted("busy", self.retry_after_ms()))
        elif refused is not None:
            assert isinstance(refused, Coming)
            refused.refuse("busy", self.retry_after_ms())

    def _begin_call(self, call: Call) -> None:
        self._slots += 1
        self._running[call.key] = call
        self._runner.start(call)

    async def _run(self, call: Call) -> None:
        """Run one call; its slot is free when this ends, or when its abandoned thread has."""
        call.begun = True
        try:
            ending = await self._handling.handle(call, self._incarnation.instance)
        except BaseException as error:
            if isinstance(error, GeneratorExit) and not _is_own_step(call):
                raise  # the loop is gone, and nobody is left to be told
            ending = self._ending_after(call, error)
        try:
            if not call.ended:
                self._finish(call, ending)
        except BaseException as error:  # noqa: BLE001 - a sink's mistake must not cost the slot, nor go unseen
            report(error, "ending.failed", actor=self.name, call=call.spec.id)
        finally:
            self._release(call)

    def _ending_after(self, call: Call, error: BaseException) -> Ending:
        """Return the ending of a call out of which `error` came, and do what it means for the actor."""
        if isinstance(error, asyncio.CancelledError) and call.ended:  # our own cancel; this is told to nobody
            return Cancelled("cancelled")
        # Without a context the handler has not begun: what failed is the reading of its arguments.
        if call.context is None or not is_crash(error, self._crash_on):
            return self._handling.failure(call, error)
        return self._crash(call, error) if self._is_stateful else self._call_crashed(call, error)

    def _thread_ended(self, call: Call) -> None:
        call.in_thread = False
        if call.lost:
            self._lost -= 1
            self._release(call)

    def _finish(self, call: Call, ending: Ending) -> None:
        call.ended = True
        if call.context is not None:
            call.context.finish()
        call.sink.ended(call, ending)

    def _release(self, call: Call) -> None:
        """Free the slot, and give it to what waits; a thread that still runs keeps it."""
        if call.released:
            return
        if call.in_thread:
            call.lost = True
            self._lost += 1
        else:
            call.released = True
            if self._running.get(call.key) is call:
                del self._running[call.key]
            self._slots -= 1
            if self._waiting:
                self._next(call)
        if self._idle is not None and self._is_idle():
            self._idle.set_result(None)
            self._idle = None

    def _next(self, done: Call) -> None:
        """`done` has ended: begin what waits, as far as there is room; what came too late is refused."""
        now = self._clock.monotonic()
        self._pace.ended(now - (done.left_mailbox or done.arrived), now)
        while self._waiting and self._slots < self.concurrency and self.state in ("ready", "draining"):
            call = self._mailbox.take()
            if call.deadline <= now:
                call.sink.ended(call, NotStarted("expired"))
            elif self._pace.is_late(call.deadline - now):  # what others have time for goes first
                call.sink.ended(call, NotStarted("busy", self.retry_after_ms()))
            else:
                call.left_mailbox = now
                self._begin_call(call)

    def _abort(self, call: Call, ending: Ending) -> None:
        """End a call; what it does is cancelled, as far as it can be."""
        if call.ended:
            return
        self._finish(call, ending)
        if not self._runner.cancel(call):
            self._release(call)

    def _abort_running(self, ending: Ending, but: Call | None = None) -> None:
        for call in tuple(self._running.values()):
            if call is not but:
                self._abort(call, ending)

    def _refuse_waiting(self, reason: NotStartedReason) -> None:
        while self._waiting:
            call = self._mailbox.take()
            call.sink.ended(call, NotStarted(reason))
        self._refuse_coming(reason)

    def _refuse_coming(self, reason: NotStartedReason) -> None:
        for key in tuple(self._coming):
            coming = self._mailbox.release(key)
            assert isinstance(coming, Coming)
            coming.refuse(reason, None)

    # Crashes

    def _crash(self, call: Call, error: BaseException) -> Ending:
        """A call has crashed the actor: end everything here, and come back with fresh state."""
        reference = report(error, "actor.crashed", actor=self.name, call=call.spec.id)
        if self.state in ("ready", "draining"):
            withdrawn = self.state == "ready"
            self._move("crash")
            self._refuse_waiting("crashed")
            self._abort_running(Cancelled("crash"), but=call)
            if withdrawn:
                self._stay_away(self._quarantine.crashed(self._clock.monotonic(), random.random))
        return Crashed(reference)

    def _call_crashed(self, call: Call, error: BaseException) -> Ending:
        """A call of a function crashed, and no other with it; only a row of them takes the function out."""
        reference = report(error, "call.crashed", actor=self.name, call=call.spec.id)
        if self.state == "ready" and not call.ended:
            verdict = self._quarantine.crashed(self._clock.monotonic(), random.random)
            if verdict.state == "quarantined":
                self._move("crash")
                self._refuse_waiting("crashed")
                self._stay_away(verdict)
        return Crashed(reference)

    def _stay_away(self, verdict: Verdict) -> None:
        self._move("quarantine" if verdict.state == "quarantined" else "restart")
        self._coming_back = self._tasks.spawn(self._come_back(verdict.delay_s), name=f"restart {self.name}")

    async def _come_back(self, delay_s: float) -> None:
        if self._incarnation.instance is not None:
            await self._idle_within(_HOOK_TIMEOUT_S)  # what was cut off may still be cleaning up
            await self._incarnation.end(_HOOK_TIMEOUT_S)
        await self._sleep(delay_s)
        if self.state not in ("restarting", "quarantined"):
            return
        self._move("retry")
        try:
            await self._begin()
        except Exception as error:  # noqa: BLE001 - the supervisor decides what it means
            event(_log, "actor.start_failed", logging.ERROR, actor=self.name, reason=described(error))
            self._exit("start_failed")

    async def _begin(self) -> None:
        try:
            await self._incarnation.begin()
        except BaseException:
            if self.state == "starting":
                self._move("start_failed")
            raise
        if self.state == "starting":
            self._move("suspend" if self._suspended else "started")

    def _exit(self, kind: ExitKind) -> None:
        if self._exited is not None and not self._exited.done():
            self._exited.set_result(kind)

    def _move(self, what: str) -> None:
        old = self.state
        self.state = step(ACTOR, old, what)
        if self.state == old:
            return
        self._listeners.tell(self, old, self.state)

    def _is_idle(self) -> bool:
        return self._slots == self._lost and not self._waiting

    async def _idle_within(self, timeout_s: float) -> bool:
        if self._is_idle():
            return True
        if self._idle is None:
            self._idle = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait({self._idle}, timeout=timeout_s)
        return bool(done)


def _is_own_step(call: Call) -> bool:
    """Return whether this runs in a step of the call's own task, and not while its coroutine is closed."""
    try:
        return call.task is not None and asyncio.current_task() is call.task
    except RuntimeError:  # no loop runs
        return False
