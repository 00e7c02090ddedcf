"""One call on its way through an actor, and the ways in which it can end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from msgspec import UnsetType

    from longreach.actor.context import Context
    from longreach.actor.rounds import Rounds
    from longreach.actor.spec import HandlerSpec
    from longreach.wire.codes import NotStartedReason
    from longreach.wire.completion import CompleteResult
    from longreach.wire.inputs import InputRequiredResult
    from longreach.wire.jsonrpc import CallParams, RequestId, RequestMeta
    from longreach.wire.mcp import CallToolResult
    from longreach.wire.prompts import GetPromptResult
    from longreach.wire.resources import ReadResourceResult


class RawResult(msgspec.Struct, frozen=True):
    """A whole result object as JSON, of a raw handler."""

    data: bytes
    meta: None = None


class Completed(msgspec.Struct, frozen=True):
    """The handler returned, or failed as a tool may fail (`isError`)."""

    result: (
        CallToolResult
        | GetPromptResult
        | ReadResourceResult
        | CompleteResult
        | InputRequiredResult
        | RawResult
    )


class NotStarted(msgspec.Struct, frozen=True):
    """The handler did not begin, and never will for this call."""

    reason: NotStartedReason
    retry_after_ms: int | None = None


class Crashed(msgspec.Struct, frozen=True):
    """The handler began, and its actor crashed; `reference` finds it in the log."""

    reference: str


class Failed(msgspec.Struct, frozen=True):
    """A JSON-RPC error."""

    code: int
    message: str
    data: Any = None


class Lost(msgspec.Struct, frozen=True):
    """The handler began, and what stands behind it was lost with the call, which may have run in part."""

    message: str


class Forbidden(msgspec.Struct, frozen=True):
    """The caller may not have this: the handler did not begin, nor would it on another node."""


class Cancelled(msgspec.Struct, frozen=True):
    """The handler began, and was stopped: cancelled, deadline, caller_silent or drain."""

    why: str


Ending = Completed | NotStarted | Forbidden | Crashed | Failed | Lost | Cancelled


class CallSink(Protocol):
    """Who is told what becomes of a call."""

    def ended(self, call: Call, ending: Ending) -> None:
        """The call has ended; exactly once for each call."""
        ...

    def note(self, call: Call, notification: bytes) -> None:
        """The running call has something to say: a JSON-RPC notification."""
        ...


class Coming(ABC):
    """A request that is not whole yet, and has a place kept for it.

    Attributes:
        key: names it on this node.
        owner: ``via.caller``, whose it is.
        deadline: when nobody waits any more, in monotonic seconds.
    """

    key: str
    owner: str
    deadline: float

    @abstractmethod
    def refuse(self, reason: NotStartedReason, retry_after_ms: int | None) -> None:
        """Lose the place: whoever kept it has given it to another, or takes no more calls."""


class Call(msgspec.Struct, eq=False):
    """One call: what was asked, and how far it has come in its actor.

    Attributes:
        key: names it on this node.
        id: its JSON-RPC id.
        spec: which handler it is for.
        params: the request's, decoded as far as every method needs it.
        data: the request's bytes.
        deadline: when nobody waits any more, in monotonic seconds.
        via: through which gateway, a token.
        caller: who calls, a token.
        arrived: when, in monotonic seconds.
        sink: is told what becomes of it.
        claims: of the user, as a gateway signed them and this node checked them: a JSON object.
        ended: it has had its ending; what still goes on of it is of no interest to its caller.
        begun: its handler's first step has been made.
        in_thread: a thread works for it, which a cancel cannot stop.
        lost: it was abandoned, and waits for its thread.
        released: its slot is free again.
        context: what its handler sees of it.
        task: what runs it; several calls may share one until it must wait for one of them.
        rounds: this round of it, if its handler asks for something or does steps; else None.
        left_mailbox: when it did, in monotonic seconds; 0: it began when it arrived.
    """

    key: str
    id: RequestId
    spec: HandlerSpec
    params: CallParams
    data: bytes
    deadline: float
    via: str
    caller: str
    arrived: float
    sink: CallSink
    claims: bytes | None = None
    ended: bool = False
    begun: bool = False
    in_thread: bool = False
    lost: bool = False
    released: bool = False
    context: Context | None = None
    task: asyncio.Task[None] | None = None
    rounds: Rounds | None = None
    left_mailbox: float = 0.0

    @property
    def name(self) -> str:
        """What was called: the tool's or prompt's name, the URI, or the template."""
        return self.spec.name

    @property
    def meta(self) -> RequestMeta | UnsetType:
        """The request's `_meta`."""
        return self.params.meta
