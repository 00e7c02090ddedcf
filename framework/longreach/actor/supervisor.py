"""A supervisor, as OTP has it, for asyncio.

Children are started in order and stopped in reverse; one that ends is restarted as its restart type and the
strategy say; too many restarts within the period, and the supervisor gives up and tells its owner why.
The decisions are `policy.restart`'s.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.observe import event
from longreach.policy.backoff import Backoff
from longreach.policy.restart import (
    Escalate,
    ExitKind,
    Ignore,
    Restart,
    RestartChildren,
    RestartWindow,
    Strategy,
    decide_exit,
)
from longreach.tasks import TaskSet

_log = logging.getLogger("longreach.supervisor")
Sleep = Callable[[float], Awaitable[None]]


class Child(Protocol):
    """What can be supervised."""

    async def start(self) -> None:
        """Start; return when it is up, raise when it cannot be."""
        ...

    async def wait(self) -> ExitKind:
        """Wait until it has ended, and say how."""
        ...

    async def stop(self, timeout_s: float) -> None:
        """End it."""
        ...


class ChildSpec(NamedTuple):
    """A child, and what to do about it.

    Attributes:
        name: unique among its siblings.
        make: makes a new one, for each start.
        restart: permanent, transient or temporary.
        shutdown_s: how long it may take to stop; then it is abandoned, and the log says so.
    """

    name: str
    make: Callable[[], Child]
    restart: Restart = "permanent"
    shutdown_s: float = 5.0


class _Exit(NamedTuple):
    name: str
    child: Child
    kind: ExitKind
    reason: str


class Supervisor:
    """Starts, restarts and stops children.

    Args:
        name: for logs.
        strategy: who else is restarted with one that ended.
        intensity: more restarts than this within `period_s` are too many.
        period_s: in seconds.
        on_failed: told why, when it gives up; its children are stopped by then.
        clock: the time.
        sleep: waits between restarts.
        backoff: how long.
    """

    def __init__(
        self,
        name: str,
        *,
        strategy: Strategy = "one_for_one",
        intensity: int = 5,
        period_s: float = 10.0,
        on_failed: Callable[[str], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = asyncio.sleep,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self.failed: str | None = None
        self._strategy: Strategy = strategy
        self._window = RestartWindow(intensity, period_s)
        self._on_failed = on_failed
        self._clock = clock
        self._sleep = sleep
        self._backoff = backoff or Backoff(first_s=0.02, factor=2.0, max_s=1.0, jitter=0.3)
        self._specs: dict[str, ChildSpec] = {}
        self._children: dict[str, Child] = {}
        self._restarts: dict[str, int] = {}
        self._exits: asyncio.Queue[_Exit] = asyncio.Queue()
        self._tasks = TaskSet(f"supervisor {name}")
        self._stopping = False

    @property
    def children(self) -> tuple[str, ...]:
        """The names of those that are up, in the order in which they were started."""
        return tuple(name for name in self._specs if name in self._children)

    async def start(self, *specs: ChildSpec) -> None:
        """Start the children in order, and keep them; returns when all are up, or `failed` says why not."""
        for spec in specs:
            self._specs[spec.name] = spec
        for spec in specs:
            await self._start(spec.name)
            while not self._exits.empty() and self.failed is None:
                await self._handle(self._exits.get_nowait())
            if self.failed is not None:
                return
        self._tasks.start(self._supervise(), name=f"supervise {self.name}")

    async def add(self, spec: ChildSpec) -> None:
        """Start one more child, after those that are there."""
        self._specs[spec.name] = spec
        await self._start(spec.name)

    async def remove(self, name: str) -> None:
        """Stop a child for good."""
        spec = self._specs.pop(name, None)
        if spec is not None:
            await self._stop(spec)

    async def stop(self) -> None:
        """Stop all children, the last one started first."""
        self._stopping = True
        for spec in reversed(list(self._specs.values())):
            await self._stop(spec)
        await self._tasks.close()

    async def _supervise(self) -> None:
        while True:
            await self._handle(await self._exits.get())

    async def _handle(self, ended: _Exit) -> None:
        if self._stopping or self._children.get(ended.name, ended.child) is not ended.child:
            return
        spec = self._specs.get(ended.name)
        if spec is None:
            return
        self._children.pop(ended.name, None)
        now = self._clock.monotonic()
        decision = decide_exit(
            list(self._specs), ended.name, spec.restart, ended.kind, self._strategy, self._window, now
        )
        event(
            _log, "child.ended", logging.WARNING, supervisor=self.name, child=ended.name, how=ended.kind,
            reason=ended.reason, decision=type(decision).__name__,
        )  # fmt: skip
        match decision:
            case Ignore():
                self._specs.pop(ended.name, None)
            case Escalate(reason):
                await self._give_up(f"{reason}; the last time: {ended.reason or ended.kind}")
            case RestartChildren(stop, start):
                for name in stop:
                    await self._stop(self._specs[name])
                count = self._restarts[ended.name] = self._restarts.get(ended.name, 0) + 1
                await self._sleep(self._backoff.delay(count, random.random))
                for name in start:
                    if name in self._specs and not self._stopping:
                        await self._start(name)

    async def _give_up(self, reason: str) -> None:
        self.failed = f"{self.name}: {reason}"
        self._stopping = True
        event(_log, "supervisor.failed", logging.ERROR, supervisor=self.name, reason=reason)
        for spec in reversed(list(self._specs.values())):
            await self._stop(spec)
        if self._on_failed is not None:
            self._on_failed(self.failed)

    async def _start(self, name: str) -> None:
        child = self._specs[name].make()
        try:
            await child.start()
        except Exception as error:  # noqa: BLE001 - what it means is for the policy to say
            reason = f"{type(error).__name__}: {error}"
            self._exits.put_nowait(_Exit(name, child, "start_failed", reason))
            return
        self._children[name] = child
        event(_log, "child.started", logging.DEBUG, supervisor=self.name, child=name)
        self._tasks.start(self._watch(name, child), name=f"watch {name}")

    async def _watch(self, name: str, child: Child) -> None:
        kind = await child.wait()
        self._exits.put_nowait(_Exit(name, child, kind, ""))

    async def _stop(self, spec: ChildSpec) -> None:
        child = self._children.pop(spec.name, None)
        if child is None:
            return
        try:
            async with asyncio.timeout(spec.shutdown_s):
                await child.stop(spec.shutdown_s)
        except TimeoutError:
            event(_log, "child.abandoned", logging.ERROR, supervisor=self.name, child=spec.name)
        except Exception:  # noqa: BLE001 - the other children must be stopped all the same
            _log.exception("child.stop_failed", extra={"event_fields": {"child": spec.name}})
