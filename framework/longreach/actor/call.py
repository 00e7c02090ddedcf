"""One call on its way through an actor, and the ways in which it can end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from msgspec import Raw, UnsetType

    from longreach.wire.codes import NotStartedReason
    from longreach.wire.jsonrpc import RequestId, RequestMeta
    from longreach.wire.mcp import CallToolResult


class Completed(NamedTuple):
    """The handler returned, or failed as a tool may fail (`isError`)."""

    result: CallToolResult


class NotStarted(NamedTuple):
    """The handler did not begin, and never will for this call."""

    reason: NotStartedReason
    retry_after_ms: int | None = None


class Crashed(NamedTuple):
    """The handler began, and its actor crashed; `reference` finds it in the log."""

    reference: str


class Failed(NamedTuple):
    """A JSON-RPC error."""

    code: int
    message: str
    data: Any = None


class Cancelled(NamedTuple):
    """The handler began, and was stopped: cancelled, deadline, caller_silent or drain."""

    why: str


Ending = Completed | NotStarted | Crashed | Failed | Cancelled


class CallSink(Protocol):
    """Who is told what becomes of a call."""

    def ended(self, call: Call, ending: Ending) -> None:
        """The call has ended; exactly once for each call."""
        ...

    def note(self, call: Call, notification: bytes) -> None:
        """The running call has something to say: a JSON-RPC notification."""
        ...


class Call:
    """One call.

    Attributes:
        key: names it on this node.
        id: its JSON-RPC id.
        tool: the tool's name.
        arguments: JSON.
        deadline: when nobody waits any more, in monotonic seconds.
        meta: the request's `_meta`.
        via: through which gateway, a token.
        caller: who calls, a token.
        arrived: when, in monotonic seconds.
        sink: is told what becomes of it.
    """

    __slots__ = ("arguments", "arrived", "caller", "deadline", "id", "key", "meta", "sink", "tool", "via")

    def __init__(
        self,
        key: str,
        id: RequestId,
        tool: str,
        arguments: Raw,
        deadline: float,
        meta: RequestMeta | UnsetType,
        via: str,
        caller: str,
        arrived: float,
        sink: CallSink,
    ) -> None:
        self.key = key
        self.id = id
        self.tool = tool
        self.arguments = arguments
        self.deadline = deadline
        self.meta = meta
        self.via = via
        self.caller = caller
        self.arrived = arrived
        self.sink = sink
