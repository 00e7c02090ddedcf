"""What a handler can learn of its call, and say while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import UNSET

from longreach.actor.interactive import Interactive
from longreach.actor.states import EphemeralKeys, States
from longreach.errors import LongreachError
from longreach.trace import CALL, Trace
from longreach.wire.jsonrpc import RequestId, RequestMeta
from longreach.wire.mcp import LOG_LEVELS, LogLevel, check_progress, encode_log, encode_progress
from longreach.wire.tokens import decode_optional

if TYPE_CHECKING:
    from longreach.actor.authorizing import Authorizer
    from longreach.actor.call import Call
    from longreach.clock import Clock

_current = cast("ContextVar[Context]", CALL)
_RANK = {level: rank for rank, level in enumerate(LOG_LEVELS)}


class Sent:
    """It is on its way, if it is to be sent at all: it may be awaited, and need not be."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_SENT = Sent()


class Place:
    """Where a call runs.

    Attributes:
        server: the server's name.
        region: the node's region.
        node: ``identity.instance``.
        lifespan: what the server's lifespan yielded; None without one.
        states: seals what a call of several rounds must remember.
        resource_updated: told the URI of a resource that has changed.
        authorizer: says who may have what; None: everybody may have everything.
    """

    __slots__ = ("authorizer", "clock", "lifespan", "node", "region", "resource_updated", "server", "states")

    def __init__(
        self, server: str, region: str, node: str, clock: Clock, states: States | None = None
    ) -> None:
        self.server = server
        self.region = region
        self.node = node
        self.clock = clock
        self.states = states or States(EphemeralKeys(), clock)
        self.lifespan: Any = None
        self.resource_updated: Callable[[str], None] = lambda _: None
        self.authorizer: Authorizer | None = None


class Context(Interactive):
    """One call, as its handler sees it; safe to use from async and from threaded handlers.

    A handler gets it through a parameter annotated `Context`. With the default `Context.injected`, callers
    that use the function's signature need not pass it.
    """

    __slots__ = ("_call", "_ended", "_loop", "_place")

    injected: Context
    """The default that says: the framework passes it."""

    def __init__(self, call: Call, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._place = place
        self._loop = loop
        self._ended = False

    @property
    def request_id(self) -> RequestId:
        """The request's JSON-RPC id."""
        return self._call.id

    @property
    def tool(self) -> str:
        """The tool that was called; of another handler the prompt's name, the URI, or the template."""
        return self._call.spec.name

    @property
    def server(self) -> str:
        """The server that it belongs to."""
        return self._place.server

    @property
    def caller(self) -> str | None:
        """Who calls, as the broker's permissions vouch for it; None where they don't name anybody."""
        return decode_optional(self._call.caller)

    @property
    def via(self) -> str | None:
        """The gateway that the call came through; None if none."""
        return decode_optional(self._call.via)

    @property
    def claims(self) -> dict[str, Any] | None:
        """What the gateway found in the user's token, signed by it and checked by this node.

        None where the call came without, or the node was given no keys to check them with.
        """
        claims = self._call.claims
        return None if claims is None else msgspec.json.decode(claims)

    @property
    def region(self) -> str:
        """The region this node is in."""
        return self._place.region

    @property
    def node(self) -> str:
        """The node that runs the call: ``identity.instance``."""
        return self._place.node

    @property
    def lifespan(self) -> Any:
        """What the server's lifespan yielded; None without one."""
        return self._place.lifespan

    @property
    def deadline(self) -> float:
        """When nobody waits for the result any more, on the clock of `time.monotonic`, in seconds."""
        return self._call.deadline

    @property
    def remaining_s(self) -> float:
        """How long the caller will still wait, in seconds; 0 if no longer."""
        return max(0.0, self._call.deadline - self._place.clock.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether the call has ended already, cancelled or past its deadline: a thread should look."""
        return self._ended or self.remaining_s == 0.0

    @property
    def meta(self) -> RequestMeta | None:
        """The request's `_meta`; None if it had none."""
        meta = self._call.params.meta
        return None if meta is UNSET else meta

    @property
    def trace(self) -> Trace | None:
        """The trace that the request belongs to; calls made from the handler join it by themselves."""
        meta = self._call.params.meta
        if meta is UNSET:
            return None
        stated = (meta.traceparent, meta.tracestate, meta.baggage)
        texts = [None if text is UNSET else text for text in stated]
        return Trace(*texts) if any(texts) else None

    @property
    def state(self) -> Any:
        """`lifespan`, by another name."""
        return self._place.lifespan

    def report_progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> Sent:
        """Tell the caller how far the work has come; nothing is sent if the caller did not ask for it.

        Args:
            progress: grows with each report.
            total: what `progress` will be at the end, if that is known.
            message: for people.

        Raises:
            ValueError: a number is not finite, or the message is not a text, whether the caller asked or not.
        """
        check_progress(progress, total, message)
        meta = self.meta
        if meta is not None and meta.progress_token is not UNSET:
            self._note(encode_progress(meta.progress_token, progress, total, message))
        return _SENT

    progress = report_progress

    def log(self, level: LogLevel, data: Any, logger: str | None = None) -> Sent:
        """Send the caller a log message, if its request asks for messages of this level.

        `data` that has no JSON form is sent as text.

        Raises:
            ValueError: there is no such level, whether the caller asked or not.
        """
        if level not in _RANK:
            raise ValueError(f"there is no log level {level!r}; the levels are {', '.join(LOG_LEVELS)}")
        meta = self.meta
        wanted = None if meta is None else _RANK.get(cast("LogLevel", meta.log_level))
        if wanted is not None and _RANK[level] >= wanted:
            try:
                message = encode_log(level, data, logger)
            except (TypeError, ValueError):
                message = encode_log(level, str(data).encode(errors="replace").decode(), logger)
            self._note(message)
        return _SENT

    def debug(self, data: Any) -> Sent:
        """`log` at level debug."""
        return self.log("debug", data)

    def info(self, data: Any) -> Sent:
        """`log` at level info."""
        return self.log("info", data)

    def warning(self, data: Any) -> Sent:
        """`log` at level warning."""
        return self.log("warning", data)

    def error(self, data: Any) -> Sent:
        """`log` at level error."""
        return self.log("error", data)

    def resource_updated(self, uri: str) -> Sent:
        """Tell whoever listens for it that a resource of this server is not what it was.

        Raises:
            ValueError: `uri` has no UTF-8 form.
        """
        self._place.resource_updated(uri)
        return _SENT

    def send(self, notification: bytes) -> Sent:
        """Send the caller a JSON-RPC notification of this call, as it is: for raw handlers, which relay.

        Nothing is sent once the call has ended.
        """
        self._note(notification)
        return _SENT

    def finish(self) -> None:
        """The call has ended: from now on nothing is sent for it."""
        self._ended = True

    def _note(self, notification: bytes) -> None:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._send(notification)
            return
        with suppress(RuntimeError):  # an abandoned thread may outlive its loop
            self._loop.call_soon_threadsafe(self._send, notification)

    def _send(self, notification: bytes) -> None:
        if not self._ended:
            self._call.sink.note(self._call, notification)


Context.injected = cast("Context", UNSET)


def current_context() -> Context:
    """The context of the call that is being handled.

    Raises:
        LongreachError: no call is being handled here.
    """
    try:
        return _current.get()
    except LookupError:
        raise LongreachError("no call is being handled here; current_context() is for handlers") from None


def enter_context(context: Context) -> None:
    """Make `context` the current one, for the rest of this task."""
    _current.set(context)
