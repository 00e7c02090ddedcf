"""The instance behind a class of actors, from `started` to `stopped`."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from longreach.errors import LongreachError
from longreach.observe import described

if TYPE_CHECKING:
    from longreach.actor.stateful import Actor

_log = logging.getLogger("longreach.actor")


class StartFailed(LongreachError, RuntimeError):
    """Something of a server's could not start, and tried to take the node with it."""


class Incarnation:
    """One life after the other of an actor's state; for a function there is none.

    Attributes:
        instance: the present one; None without one.
    """

    def __init__(self, name: str, cls: type[Actor] | None) -> None:
        self._name = name
        self._cls = cls
        self.instance: Actor | None = None

    async def begin(self) -> None:
        """Make a fresh instance and wait for its `started`.

        Raises:
            StartFailed: `started` raised a `BaseException`, or a cancel of its own.
            Exception: what else `started` raised.
        """
        if self._cls is None:
            return
        try:
            instance = self._cls()
            await instance.started()
        except BaseException as error:
            if isinstance(error, Exception) or is_asked_for(error):
                raise
            raise StartFailed(f"{self._name}.started raised {described(error)}") from error
        self.instance = instance

    async def end(self, timeout_s: float) -> None:
        """Part with the instance: wait for its `stopped`, at most `timeout_s`; what that raises is logged."""
        instance, self.instance = self.instance, None
        if instance is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await instance.stopped()
        except BaseException as error:
            if is_asked_for(error):
                raise
            # It is over, whatever was raised.
            _log.exception("actor.stopped_hook_failed", extra={"event_fields": {"actor": self._name}})


def is_asked_for(error: BaseException) -> bool:
    """Whether `error` came from outside: the cancel of the present task, or the end of the loop."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs: what waits is closed
        return True
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
