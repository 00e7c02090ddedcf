"""A server's lifespan as a supervised child: entered at its start, left at its stop."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from longreach.actor.context import Place
from longreach.actor.incarnation import StartFailed, is_asked_for
from longreach.observe import described
from longreach.tasks import TaskSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.actor.server import Server
    from longreach.policy.restart import ExitKind

_log = logging.getLogger("longreach.actor")


class LifespanChild:
    """Holds the lifespan open in a task of its own: what is entered in a task must be left in it.

    Args:
        server: whose lifespan.
        lifespan: makes the context manager.
        place: where handlers find what it yields.
    """

    def __init__(
        self, server: Server, lifespan: Callable[[Server], AbstractAsyncContextManager[Any]], place: Place
    ) -> None:
        self._server = server
        self._lifespan = lifespan
        self._place = place
        self._tasks = TaskSet(f"lifespan {server.name}", self._failed)
        self._up: asyncio.Future[None] | None = None
        self._leave = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Enter it; what it raises comes out of here."""
        self._up = asyncio.get_running_loop().create_future()
        self._task = self._tasks.spawn(self._hold(self._up), name="lifespan")
        try:
            await self._up
        except BaseException:
            await self._tasks.close()
            raise

    async def wait(self) -> ExitKind:
        """It ends by being stopped, and in no other way."""
        await self._leave.wait()
        return "shutdown"

    async def stop(self, timeout_s: float) -> None:
        """Leave it: wait for what comes after its `yield`, at most `timeout_s`."""
        self._leave.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)
        await self._tasks.close(0.5)
        self._place.lifespan = None

    async def _hold(self, up: asyncio.Future[None]) -> None:
        try:
            async with self._lifespan(self._server) as state:
                self._place.lifespan = state
                if not up.done():
                    up.set_result(None)
                await self._leave.wait()
        except BaseException as error:
            if is_asked_for(error):
                raise
            failure = StartFailed(f"lifespan: {described(error)}")
            failure.__cause__ = error
            if up.done():
                self._failed("lifespan", failure)
            else:
                up.set_exception(failure)

    def _failed(self, _: str, error: BaseException) -> None:
        _log.error("lifespan.failed", extra={"event_fields": {"server": self._server.name}}, exc_info=error)
