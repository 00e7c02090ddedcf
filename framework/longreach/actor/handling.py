"""How one call is handled: from its arguments to its ending.

The outcome of a handler is a result, also where it failed; what comes out of `Handling.handle` as an
exception is a crash or a cancel, and the cell's to deal with. What is a crash is in `actor.crashes`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import Callable, Iterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from longreach.actor.asks import InputRequired
from longreach.actor.call import Call, Ending, Failed, NotStarted
from longreach.actor.context import Context, Place, enter_context
from longreach.actor.crashes import CrashOn, is_crash
from longreach.actor.processes import ProcessSlots
from longreach.actor.rounds import Rounds, resume
from longreach.errors import ConfigError, LongreachError, ProtocolError, ToolError
from longreach.observe import event
from longreach.threads import NoRoom, catch_in_thread
from longreach.wire import codes
from longreach.wire.schema import InvalidArguments
from longreach.wire.values import NotFinite

if TYPE_CHECKING:
    from longreach.actor.spec import HandlerSpec

_log = logging.getLogger("longreach.actor")
_NO_ROOM_MS = 1_000
"""When to ask again where the system gave no thread or process: that passes in seconds, or not at all."""


class _NotBegun(Exception):
    """There was no thread or process for a call; not one step of its handler was made."""


class Handling:
    """Handles the calls of one actor.

    Args:
        specs: its handlers.
        place: where it is.
        concurrency: how many of them run at once.
        crash_on: exceptions that are crashes, besides those that always are.
        thread_ended: told when the thread of a call has ended.
    """

    def __init__(
        self,
        specs: Iterable[HandlerSpec],
        place: Place,
        *,
        concurrency: int,
        crash_on: CrashOn = (),
        thread_ended: Callable[[Call], None],
    ) -> None:
        self._place = place
        self._now = place.clock.monotonic
        self._crash_on = crash_on
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
        params = call.params
        if params.request_state is not UNSET or params.input_responses is not UNSET:
            refusal = self._resume(call)
            if refusal is not None:
                return refusal
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
            if call.rounds is None and type(value) is not InputRequired:  # nearly always
                return spec.completed(value, call)
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is a crash or a cancel
            if call.rounds is None or isinstance(error, _NotBegun):
                return self._failed(call, error)
            return await self._conclude(call, None, error)
        return await self._conclude(call, value, None)

    def _resume(self, call: Call) -> Ending | None:
        """Begin a further round of a call; or the ending of one that is refused, whose handler never runs."""
        if not call.spec.can_ask:  # what comes back is none of ours
            return None
        try:
            resumed = resume(call, self._place.states)
        except ConfigError as error:
            return self.failure(call, error)
        if isinstance(resumed, Failed):
            return resumed
        call.rounds = resumed
        return None

    async def _conclude(self, call: Call, value: Any, error: BaseException | None) -> Ending:
        """The ending of a call of several rounds, whose handler returned `value` or raised `error`."""
        rounds = call.rounds or Rounds(call)
        try:
            ending = await rounds.conclude(value, self._place.states)
            if ending is not None:
                return ending
            if error is None:
                return call.spec.completed(value, call)
        except LongreachError as problem:  # the handler has done nothing that would crash an actor
            return self.failure(call, problem)
        return self._failed(call, error)

    def _failed(self, call: Call, error: BaseException) -> Ending:
        """The ending of a call whose handler raised `error`; what is more than a failure is raised again."""
        if isinstance(error, _NotBegun):
            return NotStarted("busy", _NO_ROOM_MS)
        if isinstance(error, ToolError):
            return call.spec.failed(str(error))
        if isinstance(error, ProtocolError):
            return Failed(codes.INTERNAL_ERROR if error.code is None else error.code, str(error), error.data)
        if isinstance(error, asyncio.CancelledError) or is_crash(error, self._crash_on):
            raise error
        return self.failure(call, error)

    async def _elsewhere(self, spec: HandlerSpec, kwargs: dict[str, Any], call: Call, instance: Any) -> Any:
        """Run a handler in a thread or a process.

        Raises:
            _NotBegun: the system gives none.
            BaseException: what the handler raised.
        """
        try:
            if spec.kind == "process":
                assert self._processes is not None
                value, error = await self._processes.run(spec.function, kwargs), None
            else:
                function = spec.function if instance is None else functools.partial(spec.function, instance)
                call.in_thread = True  # until the thread says otherwise
                value, error = await catch_in_thread(
                    function, kwargs, functools.partial(self._thread_ended, call)
                )
        except NoRoom as refused:
            event(_log, "handler.no_room", logging.WARNING, call=spec.id, reason=str(refused))
            raise _NotBegun from None
        if error is not None:
            raise error
        # A plain function around a coroutine function, such as a wrapper, returns what is yet to be awaited.
        return await value if isawaitable(value) else value

    def failure(self, call: Call, error: BaseException) -> Ending:
        """Return an ending that says where to look; of the error it tells only a number that JSON lacks."""
        fields = {call.spec.offer: call.name, "server": self._place.server}
        reference = report(error, "handler.failed", **fields)
        told = f": {error.__cause__}" if isinstance(error.__cause__, NotFinite) else ""
        return call.spec.failed(
            f"{call.name} failed{told}; the log of {self._place.node} has it as {reference}"
        )


def report(error: BaseException, name: str, **fields: Any) -> str:
    """Log an error, traceback and all; the reference that finds it."""
    reference = secrets.token_hex(4)
    _log.error(name, extra={"event_fields": {**fields, "reference": reference}}, exc_info=error)
    return reference
