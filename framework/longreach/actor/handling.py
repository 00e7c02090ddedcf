"""How one call is handled: from its arguments to its ending.

The outcome of a handler is a result, also where it failed; what comes out of `Handling.handle` as an
exception is a crash, and the cell's to deal with.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from longreach.actor.call import Call, Completed, Ending, NotStarted
from longreach.actor.context import Context, Place, enter_context
from longreach.actor.processes import ProcessDied, ProcessSlots
from longreach.actor.results import error_result, to_result
from longreach.actor.threads import run_in_thread
from longreach.errors import InvalidResult, ToolError
from longreach.wire.schema import InvalidArguments

if TYPE_CHECKING:
    from longreach.actor.spec import ToolSpec
    from longreach.wire.mcp import CallToolResult

_log = logging.getLogger("longreach.actor")


class Handling:
    """Handles the calls of one actor.

    Args:
        tools: its tools by name.
        place: where it is.
        concurrency: how many of them run at once.
        stateful: it is a class's instance, which an unexpected exception crashes.
        thread_ended: told when the thread of a call has ended.
    """

    def __init__(
        self,
        tools: Mapping[str, ToolSpec],
        place: Place,
        *,
        concurrency: int,
        stateful: bool,
        thread_ended: Callable[[Call], None],
    ) -> None:
        self._tools = tools
        self._place = place
        self._now = place.clock.monotonic
        self._stateful = stateful
        self._thread_ended = thread_ended
        separate = any(spec.kind == "process" for spec in tools.values())
        self._processes = ProcessSlots(concurrency) if separate else None

    async def handle(self, call: Call, instance: Any) -> Ending:
        """Run one call; `instance` has the state, if there is any.

        Raises:
            BaseException: the call has crashed the actor, or was cancelled.
        """
        if call.deadline <= self._now():  # it was taken in time, but the loop was held up
            return NotStarted("expired")
        spec = self._tools[call.tool]
        schema = spec.schema
        try:
            kwargs = schema.decode_arguments(call.arguments)
        except InvalidArguments as problem:
            return Completed(error_result(str(problem)))
        context = call.context = Context(call, self._place, asyncio.get_running_loop())
        enter_context(context)
        if schema.context_parameter is not None:
            kwargs[schema.context_parameter] = context
        try:
            if spec.kind == "async":
                function = spec.function
                value = await (function(**kwargs) if instance is None else function(instance, **kwargs))
            else:
                value = await self._elsewhere(spec, kwargs, call, instance)
            return Completed(to_result(value, schema))
        except ToolError as error:
            return Completed(error_result(str(error)))
        except InvalidResult as error:
            return Completed(self.failure(call, error))
        except Exception as error:
            if self._stateful or isinstance(error, ProcessDied | MemoryError):
                raise
            return Completed(self.failure(call, error))

    async def _elsewhere(self, spec: ToolSpec, kwargs: dict[str, Any], call: Call, instance: Any) -> Any:
        if spec.kind == "process":
            assert self._processes is not None
            return await self._processes.run(spec.function, kwargs)
        function = spec.function if instance is None else functools.partial(spec.function, instance)
        call.in_thread = True  # until the thread says otherwise
        return await run_in_thread(function, kwargs, functools.partial(self._thread_ended, call))

    def failure(self, call: Call, error: BaseException) -> CallToolResult:
        """A tool error that tells the caller nothing but where to look."""
        reference = report(error, "handler.failed", tool=call.tool, server=self._place.server)
        return error_result(f"{call.tool} failed; the log of {self._place.node} has it as {reference}")


def report(error: BaseException, name: str, **fields: Any) -> str:
    """Log an error, traceback and all; the reference that finds it."""
    reference = secrets.token_hex(4)
    _log.error(name, extra={"event_fields": {**fields, "reference": reference}}, exc_info=error)
    return reference
