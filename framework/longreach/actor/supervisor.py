"""A supervisor, as OTP has it, for asyncio.

Children are started in order and stopped in reverse; one that ends is restarted as its restart type and the
strategy say; too many restarts within the period, and the supervisor gives up and tells its owner why.
The decisions are `policy.restart`'s.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple, Protocol

from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.observe import described, event
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
_GRACE_S = 1.0
"""What a child has beyond its shutdown_s: it bounds itself by that, and this is the bound of its bound."""

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
        start_s: how long it may take to start: models and caches are loaded there.
    """

    name: str
    make: Callable[[], Child]
    restart: Restart = "permanent"
    shutdown_s: float = 5.0
    start_s: float = 300.0


def _later(specs: Callable[[], Iterable[ChildSpec]]) -> Iterator[ChildSpec]:
    yield from specs()


class _Exit(NamedTuple):
    name: str
    child: Child
    kind: ExitKind
    reason: str
    failed_to_start: bool = False


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
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._restarts: dict[str, int] = {}
        self._exits: asyncio.Queue[_Exit] = asyncio.Queue()
        self._tasks = TaskSet(f"supervisor {name}")
        self._supervising: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._stopping = False

    @property
    def children(self) -> tuple[str, ...]:
        """The names of those that are up, in the order in which they are started."""
        return tuple(name for name in self._specs if name in self._children)

    async def start(self, *specs: ChildSpec, then: Callable[[], Iterable[ChildSpec]] = tuple) -> None:
        """Start the children in order, and keep them; returns when all are up, or `failed` says why not.

        Args:
            specs: who comes first.
            then: who comes after them; asked when they are up.
        """
        for spec in chain(specs, _later(then)):
            self._specs[spec.name] = spec
            _ = await self._start(spec.name)
            while not self._exits.empty() and not self._stopping:
                await self._handle(self._exits.get_nowait())
            if self._stopping:
                return
        self._supervising = self._tasks.spawn(self._supervise(), name=f"supervise {self.name}")

    async def add(self, spec: ChildSpec) -> None:
        """Start one more child, after those that are there; one that cannot start is tried again."""
        async with self._changing:
            if not self._stopping:
                self._specs[spec.name] = spec
                _ = await self._start(spec.name)

    def release(self, name: str) -> Child | None:
        """Let go of a child as it is: from now on it is its taker's to stop. None: it is not up."""
        self._specs.pop(name, None)
        self._unwatch(name)
        return self._children.pop(name, None)

    async def stop(self) -> None:
        """Stop all children, the last one started first."""
        self._stopping = True
        me = asyncio.current_task()
        if self._supervising is not None and self._supervising is not me:
            _ = self._supervising.cancel()
            await asyncio.wait({self._supervising})
        await self._stop_all()
        await self._tasks.close()

    async def _supervise(self) -> None:
        while not self._stopping:
            ended = await self._exits.get()
            async with self._changing:
                await self._handle(ended)

    async def _handle(self, ended: _Exit) -> None:
        spec = self._specs.get(ended.name)
        up = self._children.get(ended.name)
        # A child's exit counts while it is the one that is up, or where its start failed and none is.
        stale = up is not None if ended.failed_to_start else up is not ended.child
        if self._stopping or spec is None or stale:
            return
        self._children.pop(ended.name, None)
        decision = decide_exit(
            list(self._specs),
            ended.name,
            spec.restart,
            ended.kind,
            self._strategy,
            self._window,
            self._clock.monotonic(),
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
                await self._restart(ended.name, stop, start)

    async def _restart(self, name: str, stop: tuple[str, ...], start: tuple[str, ...]) -> None:
        for sibling in stop:
            await self._stop(sibling)
        count = self._restarts[name] = self._restarts.get(name, 0) + 1
        await self._sleep(self._backoff.delay(count, random.random))
        for sibling in start:
            # The order is a promise: what comes after one that cannot start waits until that one is up.
            # Its own restart starts them too, because they are after it.
            if self._stopping or (sibling in self._specs and not await self._start(sibling)):
                return

    async def _give_up(self, reason: str) -> None:
        self.failed = f"{self.name}: {reason}"
        self._stopping = True
        event(_log, "supervisor.failed", logging.ERROR, supervisor=self.name, reason=reason)
        await self._stop_all()
        if self._on_failed is not None:
            self._on_failed(self.failed)

    async def _start(self, name: str) -> bool:
        spec = self._specs[name]
        child = spec.make()
        try:
            async with asyncio.timeout(spec.start_s):
                await child.start()
        except Exception as error:  # noqa: BLE001 - what it means is for the policy to say
            reason = described(error)
            self._exits.put_nowait(_Exit(name, child, "start_failed", reason, failed_to_start=True))
            return False
        self._children[name] = child
        if self._stopping:  # it was asked for while this one was starting
            await self._stop(name)
            return False
        event(_log, "child.started", logging.DEBUG, supervisor=self.name, child=name)
        self._watchers[name] = self._tasks.spawn(self._watch(name, child), name=f"watch {name}")
        return True

    async def _watch(self, name: str, child: Child) -> None:
        try:
            kind = await child.wait()
        except Exception as error:  # noqa: BLE001 - whatever ends a child is an exit
            self._exits.put_nowait(_Exit(name, child, "crash", described(error)))
            return
        self._exits.put_nowait(_Exit(name, child, kind, ""))

    def _unwatch(self, name: str) -> None:
        watcher = self._watchers.pop(name, None)
        if watcher is not None:
            _ = watcher.cancel()

    async def _stop_all(self) -> None:
        for name in reversed(list(self._specs)):
            await self._stop(name)

    async def _stop(self, name: str) -> None:
        self._unwatch(name)
        child = self._children.pop(name, None)
        if child is None:
            return
        shutdown_s = self._specs[name].shutdown_s
        try:
            async with asyncio.timeout(shutdown_s + _GRACE_S):
                await child.stop(shutdown_s)
        except TimeoutError:
            event(_log, "child.abandoned", logging.ERROR, supervisor=self.name, child=name)
        except Exception:  # noqa: BLE001 - the other children must be stopped all the same
            _log.exception("child.stop_failed", extra={"event_fields": {"child": name}})
        else:
            event(_log, "child.stopped", logging.DEBUG, supervisor=self.name, child=name)
