"""The supervision tree of a server on a node: its lifespan first, then an actor for each tool or class."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from longreach.actor.cell import ActorCell, StateListener
from longreach.actor.context import Place
from longreach.actor.supervisor import ChildSpec, Supervisor
from longreach.tasks import TaskSet

if TYPE_CHECKING:
    from longreach.actor.server import Server
    from longreach.clock import Clock
    from longreach.policy.restart import ExitKind

_LIFESPAN = "lifespan"


class _Lifespan:
    """A server's lifespan as a supervised child: entered at start, left at stop, in one task."""

    def __init__(self, server: Server, place: Place) -> None:
        self._server = server
        self._place = place
        self._tasks = TaskSet(f"lifespan {server.name}")
        self._up = asyncio.Event()
        self._leave = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    async def start(self) -> None:
        assert self._server.lifespan is not None
        self._task = self._tasks.spawn(self._hold(self._server.lifespan(self._server)), name="lifespan")
        up = self._tasks.spawn(self._up.wait(), name="lifespan up")
        await asyncio.wait({self._task, up}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            up.cancel()
            self._task.result()

    async def wait(self) -> ExitKind:
        await self._leave.wait()
        return "shutdown"

    async def stop(self, timeout_s: float) -> None:
        self._leave.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)
        await self._tasks.close()

    async def _hold(self, manager: AbstractAsyncContextManager[Any]) -> None:
        async with manager as state:
            self._place.lifespan = state
            self._up.set()
            await self._leave.wait()


class ServerTree:
    """All that runs of one server on one node.

    Args:
        server: what is run.
        clock: the time.
        region: the node's region.
        node: the node's name.
    """

    def __init__(self, server: Server, *, clock: Clock, region: str, node: str) -> None:
        self._server = server
        self._place = Place(server.name, region, node, clock)
        self._cells: dict[str, ActorCell] = {}
        self._listeners: list[StateListener] = []
        self._failed: list[Callable[[str], None]] = []
        self._tasks = TaskSet(f"server {server.name}")
        self._changes = asyncio.Lock()
        self._stop_listening: Callable[[], None] | None = None
        self._supervisor = Supervisor(
            server.name,
            strategy=server.strategy,
            intensity=server.intensity,
            period_s=server.period_s,
            on_failed=self._gave_up,
            clock=clock,
        )

    @property
    def cells(self) -> tuple[ActorCell, ...]:
        """The actors as they are now."""
        return tuple(self._cells.values())

    def on_state(self, listener: StateListener) -> None:
        """Call `listener(cell, old, new)` when an actor's state changes."""
        self._listeners.append(listener)

    def on_failed(self, listener: Callable[[str], None]) -> None:
        """Call `listener(reason)` when the server cannot be kept up."""
        self._failed.append(listener)

    async def start(self) -> None:
        """Start the lifespan and the actors, in order; returns when they are up or it has failed."""
        self._stop_listening = self._server.on_change(self._changed)
        first = [ChildSpec(_LIFESPAN, self._new_lifespan)] if self._server.lifespan is not None else []
        await self._supervisor.start(*first, *self._specs().values())

    async def drain(self, timeout_s: float) -> None:
        """Let every actor end what it has, at most `timeout_s`; cut off the rest."""
        await asyncio.gather(*(cell.drain(timeout_s) for cell in self.cells))

    def cut_off(self) -> None:
        """End every call now."""
        for cell in self.cells:
            cell.cut_off("drain")

    async def stop(self) -> None:
        """Stop the actors, the last one started first, then leave the lifespan."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        await self._tasks.close()
        await self._supervisor.stop()

    def _new_lifespan(self) -> _Lifespan:
        return _Lifespan(self._server, self._place)

    def _specs(self) -> dict[str, ChildSpec]:
        """A child for each class of actors, and for each tool that is a function."""
        specs: dict[str, ChildSpec] = {}
        of_actors = {tool for actor in self._server.actors.values() for tool in actor.tools}
        for name in self._server.actors:
            specs[f"actor {name}"] = ChildSpec(f"actor {name}", lambda name=name: self._actor(name))  # type: ignore[misc]
        for name in self._server.tools:
            if name not in of_actors:
                specs[f"tool {name}"] = ChildSpec(f"tool {name}", lambda name=name: self._function(name))  # type: ignore[misc]
        return specs

    def _actor(self, name: str) -> ActorCell:
        spec = self._server.actors[name]
        cell = ActorCell(
            name,
            spec.tools,
            concurrency=spec.concurrency,
            mailbox=spec.mailbox,
            place=self._place,
            cls=spec.cls,
        )
        return self._adopt(f"actor {name}", cell)

    def _function(self, name: str) -> ActorCell:
        spec = self._server.tools[name]
        cell = ActorCell(
            name, {name: spec}, concurrency=spec.concurrency, mailbox=spec.mailbox, place=self._place
        )
        return self._adopt(f"tool {name}", cell)

    def _adopt(self, child: str, cell: ActorCell) -> ActorCell:
        for listener in self._listeners:
            cell.on_state(listener)
        self._cells[child] = cell
        return cell

    def _changed(self, server: Server) -> None:
        self._tasks.start(self._follow(), name=f"tools of {server.name}")

    async def _follow(self) -> None:
        """Tools were added or removed at run time: start and stop actors accordingly."""
        async with self._changes:
            wanted = self._specs()
            for child in [child for child in self._cells if child not in wanted or self._is_stale(child)]:
                cell = self._cells.pop(child)
                await cell.drain(self._server.period_s)
                await self._supervisor.remove(child)
            for child, spec in wanted.items():
                if child not in self._cells:
                    await self._supervisor.add(spec)

    def _is_stale(self, child: str) -> bool:
        """Whether a tool was replaced by another one of the same name."""
        tools = self._cells[child].tools
        return any(self._server.tools.get(name) is not spec for name, spec in tools.items())

    def _gave_up(self, reason: str) -> None:
        for listener in self._failed:
            listener(reason)
