"""The supervision tree of a server on a node: its lifespan first, then an actor for each handler or class."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from longreach.actor.authorizing import Authorizer
from longreach.actor.cell import ActorCell, StateListener
from longreach.actor.context import Place
from longreach.actor.lifespan import LifespanChild
from longreach.actor.raw import RawSpec
from longreach.actor.supervisor import ChildSpec, Supervisor
from longreach.listeners import Listeners
from longreach.observe import event
from longreach.tasks import TaskSet

if TYPE_CHECKING:
    from longreach.actor.server import Server
    from longreach.actor.spec import HandlerSpec
    from longreach.actor.states import States
    from longreach.clock import Clock

_log = logging.getLogger("longreach.actor")
_LIFESPAN = "lifespan"
_RETIRE_TIMEOUT_S = 3600.0
"""How long the calls of a removed handler may go on; the deadline of each ends it before."""


class ServerTree:
    """All that runs of one server on one node.

    Args:
        server: what is run.
        clock: the time.
        region: the node's region.
        node: the node's name.
        states: seals what calls of several rounds must remember; None: with a key of its own.
    """

    def __init__(
        self, server: Server, *, clock: Clock, region: str, node: str, states: States | None = None
    ) -> None:
        self._server = server
        self._place = Place(server.name, region, node, clock, states)
        self._place.resource_updated = server.notify_resource_updated
        if server.authorize is not None:
            self._place.authorizer = Authorizer(server.name, server.authorize)
        self._cells: dict[str, ActorCell] = {}
        self._retiring: set[ActorCell] = set()
        self._listeners: list[StateListener] = []
        self._failed: Listeners[[str]] = Listeners("server failed")
        self._tasks = TaskSet(f"server {server.name}")
        self._changes = asyncio.Lock()
        self._stop_listening: Callable[[], None] | None = None
        self._stop_following: Callable[[], None] | None = None
        self._supervisor = Supervisor(
            server.name,
            strategy=server.strategy,
            intensity=server.intensity,
            period_s=server.period_s,
            on_failed=self._gave_up,
            clock=clock,
        )

    @property
    def authorizer(self) -> Authorizer | None:
        """Says who may have what of the server; None: everybody may have everything."""
        return self._place.authorizer

    @property
    def cells(self) -> tuple[ActorCell, ...]:
        """The actors as they are now."""
        return tuple(self._cells.values())

    def on_state(self, listener: StateListener) -> None:
        """Call `listener(cell, old, new)` when an actor's state changes."""
        self._listeners.append(listener)

    def on_failed(self, listener: Callable[[str], None]) -> None:
        """Call `listener(reason)` when the server cannot be kept up."""
        self._failed.add(listener)

    async def start(self) -> None:
        """Start the lifespan and the actors, in order; returns when they are up or it has failed."""
        async with self._changes:  # what is added meanwhile is started after these
            self._stop_listening = self._server.on_change(self._changed)
            self._stop_following = self._server.on_suspension(self._suspension_changed)
            # What is offered is looked at when the lifespan is there: it may declare more.
            await self._supervisor.start(*self._lifespan(), then=lambda: self._specs().values())

    async def drain(self, timeout_s: float) -> None:
        """Let every actor end what it has, at most `timeout_s`; cut off the rest."""
        await asyncio.gather(*(cell.drain(timeout_s) for cell in (*self.cells, *self._retiring)))

    def cut_off(self) -> None:
        """End every call now."""
        for cell in (*self.cells, *self._retiring):
            cell.cut_off("drain")

    async def stop(self) -> None:
        """Stop the actors, the last one started first, then leave the lifespan."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        if self._stop_following is not None:
            self._stop_following()
            self._stop_following = None
        await self._tasks.close()
        await asyncio.gather(*(cell.stop() for cell in self._retiring))
        await self._supervisor.stop()

    def _lifespan(self) -> tuple[ChildSpec, ...]:
        lifespan = self._server.lifespan
        if lifespan is None:
            return ()
        make = functools.partial(LifespanChild, self._server, lifespan, self._place)
        return (ChildSpec(_LIFESPAN, make),)

    def _specs(self) -> dict[str, ChildSpec]:
        """A child for each class of actors, and for each handler that is a function."""
        of_actors = {spec for actor in self._server.actors.values() for spec in actor.specs}
        makers: dict[str, Callable[[], ActorCell]] = {
            f"actor {name}": functools.partial(self._actor, name) for name in self._server.actors
        }
        for spec in tuple(self._server.handlers.values()):  # a thread may be adding one
            if spec.id not in of_actors:
                makers[spec.id] = functools.partial(self._function, spec)
        return {child: ChildSpec(child, make) for child, make in makers.items()}

    def _actor(self, name: str) -> ActorCell:
        spec = self._server.actors[name]
        cell = ActorCell(
            name,
            spec.specs,
            concurrency=spec.concurrency,
            mailbox=spec.mailbox,
            place=self._place,
            cls=spec.cls,
            crash_on=spec.crash_on,
        )
        return self._adopt(f"actor {name}", cell)

    def _function(self, spec: HandlerSpec) -> ActorCell:
        cell = ActorCell(
            spec.name,
            {spec.id: spec},
            concurrency=spec.concurrency,
            mailbox=spec.mailbox,
            place=self._place,
        )
        if self._server.suspended is not None and isinstance(spec, RawSpec):
            cell.suspend()
        return self._adopt(spec.id, cell)

    def _adopt(self, child: str, cell: ActorCell) -> ActorCell:
        for listener in self._listeners:
            cell.on_state(listener)
        self._cells[child] = cell
        return cell

    def _suspension_changed(self) -> None:
        why = self._server.suspended
        what = "server.resumed" if why is None else "server.suspended"
        event(_log, what, logging.WARNING, server=self._server.name, why=why)
        for cell in self.cells:
            if all(isinstance(spec, RawSpec) for spec in cell.specs.values()):
                if self._server.suspended is not None:
                    cell.suspend()
                else:
                    cell.resume()

    def _changed(self, server: Server) -> None:
        self._tasks.start(self._follow(), name=f"handlers of {server.name}")

    async def _follow(self) -> None:
        """Handlers were added or removed at run time: start and stop actors accordingly."""
        async with self._changes:
            wanted = self._specs()
            for child in [child for child in self._cells if child not in wanted or self._is_stale(child)]:
                cell = self._cells.pop(child)
                self._retiring.add(cell)
                _ = self._supervisor.release(child)
                self._tasks.start(self._retire(cell), name=f"retire {child}")
            # A handler may take the name of one that leaves, so that one has to be out of the group before.
            await asyncio.sleep(0)
            for child, spec in wanted.items():
                if child not in self._cells:
                    await self._supervisor.add(spec)

    async def _retire(self, cell: ActorCell) -> None:
        """Let a removed actor's calls end as they would have, and stop it."""
        await cell.drain(_RETIRE_TIMEOUT_S)
        await cell.stop()
        self._retiring.discard(cell)

    def _is_stale(self, child: str) -> bool:
        """Whether a handler was replaced by another one of the same name."""
        handlers, specs = self._server.handlers, self._cells[child].specs
        return any(handlers.get(id) is not spec for id, spec in specs.items())

    def _gave_up(self, reason: str) -> None:
        self._failed.tell(reason)
