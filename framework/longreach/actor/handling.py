"""How one call is handled: from its arguments to its ending.

The outcome of a handler is a result, also where it failed; what comes out of `Handling.handle` as an
exception is a crash, and the cell's to deal with.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from longreach.actor.call import Call, Ending, Failed, NotStarted
from longreach.actor.context import Context, Place, enter_context
from longreach.actor.processes import ProcessDied, ProcessSlots
from longreach.actor.threads import run_in_thread
from longreach.errors import InvalidResult, ProtocolError, ToolError
from longreach.wire import codes
from longreach.wire.schema import InvalidArguments

if TYPE_CHECKING:
    from longreach.actor.spec import HandlerSpec

_log = logging.getLogger("longreach.actor")


class Handling:
    """Handles the calls of one actor.

    Args:
        specs: its handlers.
        place: where it is.
        concurrency: how many of them run at once.
        stateful: it is a class's instance, which an unexpected exception crashes.
        thread_ended: told when the thread of a call has ended.
    """

    def __init__(
        self,
        specs: Iterable[HandlerSpec],
        place: Place,
        *,
        concurrency: int,
        stateful: bool,
        thread_ended: Callable[[Call], None],
    ) -> None:
        self._place = place
        self._now = place.clock.monotonic
        self._stateful = stateful
        self._thread_ended = thread_ended
        separate = any(spec.kind == "process" for spec in specs)
        self._processes = ProcessSlots(concurrency) if separate else None

    async def handle(self, call: Call, instance: Any) -> Ending:
        """Run one call; `instance` has the state, if there is any.

        Raises:
            BaseException: the call has crashed the actor, or was cancelled.
        """
        if call.deadline <= self._now():  # it was taken in time, but the loop was held up
            return NotStarted("expired")
        spec = call.spec
        try:
            kwargs = spec.read(call)
        except InvalidArguments as problem:
            return spec.refused(str(problem), call)
        context = call.context = Context(call, self._place, asyncio.get_running_loop())
        enter_context(context)
        if spec.context_parameter is not None:
            kwargs[spec.context_parameter] = context
        try:
            if spec.kind == "async":
                function = spec.function
                value = await (function(**kwargs) if instance is None else function(instance, **kwargs))
            else:
                value = await self._elsewhere(spec, kwargs, call, instance)
            return spec.completed(value, call)
        except ToolError as error:
            return spec.failed(str(error))
        except ProtocolError as error:
            return Failed(codes.INTERNAL_ERROR if error.code is None else error.code, str(error), error.data)
        except InvalidResult as error:
            return self.failure(call, error)
        except Exception as error:
            if self._stateful or isinstance(error, ProcessDied | MemoryError):
                raise
            return self.failure(call, error)

    async def _elsewhere(self, spec: HandlerSpec, kwargs: dict[str, Any], call: Call, instance: Any) -> Any:
        if spec.kind == "process":
            assert self._processes is not None
            return await self._processes.run(spec.function, kwargs)
        function = spec.function if instance is None else functools.partial(spec.function, instance)
        call.in_thread = True  # until the thread says otherwise
        return await run_in_thread(function, kwargs, functools.partial(self._thread_ended, call))

    def failure(self, call: Call, error: BaseException) -> Ending:
        """An ending that tells the caller nothing but where to look."""
        fields = {call.spec.offer: call.name, "server": self._place.server}
        reference = report(error, "handler.failed", **fields)
        return call.spec.failed(f"{call.name} failed; the log of {self._place.node} has it as {reference}")


def report(error: BaseException, name: str, **fields: Any) -> str:
    """Log an error, traceback and all; the reference that finds it."""
    reference = secrets.token_hex(4)
    _log.error(name, extra={"event_fields": {**fields, "reference": reference}}, exc_info=error)
    return reference
