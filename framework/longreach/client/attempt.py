"""One attempt of a call: the message that is sent, and what is done with what comes for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from longreach.client import endings
from longreach.client.inbox import Waiter
from longreach.client.meta import OPENTELEMETRY, encode_trace
from longreach.client.results import BAD_JSON, RawResult, decode_response, decode_result
from longreach.errors import LongreachError, RemoteError
from longreach.policy.retry import Failure
from longreach.trace import CALL, GIVEN
from longreach.wire import jsonrpc
from longreach.wire.inputs import InputRequiredResult
from longreach.wire.parts import PARTS, PULL

if TYPE_CHECKING:
    from longreach.client.notes import OnNote
    from longreach.client.options import CallOptions
    from longreach.client.plan import Plan
    from longreach.policy.breaker import Breaker
    from longreach.policy.liveness import NodeId

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")
_modules = sys.modules

Encode = Callable[[int, "Plan", bytes, str | None, bytes], bytes]
"""Makes a request's body of (number, plan, payload, progress token or None, `CallOptions.meta`)."""

MakeHeaders = Callable[[], dict[str, str]]
"""Makes the NATS headers of one attempt."""


class Request(msgspec.Struct, Generic[T], gc=False):
    """What is the same in all attempts of one call.

    `read` makes the result of (response, region), or a failure that may be retried. `deadline` is in
    monotonic seconds, `timeout_s` after the call began.
    """

    plan: Plan
    payload: bytes
    options: CallOptions
    encode: Encode
    read: Callable[[bytes, str], T | Failure]
    on_note: OnNote | None
    headers: MakeHeaders | None
    deadline: float
    timeout_s: float


class Owner(Protocol):
    """Who made an attempt."""

    def accepted(self, attempt: Attempt, body: bytes) -> None:
        """A node says that it has the call."""
        ...

    def part(self, attempt: Attempt, kind: str, body: bytes) -> None:
        """A node offers its result in parts, or asks for a part of the request."""
        ...

    def never_whole(self, attempt: Attempt) -> bool:
        """Whether the request went in parts, and not all of them."""
        ...


class Way(NamedTuple):
    """What is the same in all attempts at a target in a region: subject, reply's beginning, health."""

    subject: str
    reply_base: str
    breaker: Breaker


class Attempt(Waiter):
    """One message on its way, and who has it."""

    __slots__ = ("deadline", "node", "on_note", "owner", "region", "sent_at", "subject", "timer")

    def __init__(
        self, token: str, future: asyncio.Future[Any], owner: Owner, subject: str, region: str,
        on_note: OnNote | None, sent_at: float, deadline: float,
    ) -> None:  # fmt: skip
        self.token = token
        self.future = future
        self.owner = owner
        self.subject = subject
        self.region = region
        self.on_note = on_note
        self.sent_at = sent_at
        self.deadline = deadline
        self.node: NodeId | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def node_name(self) -> str | None:
        """``identity.instance`` of the node that has it; None: nobody said so."""
        return None if self.node is None else f"{self.node.identity}.{self.node.instance}"

    def frame(self, kind: str, body: bytes) -> None:
        """Take a frame; those of kinds that are not known are ignored."""
        if kind == "accepted":
            self.owner.accepted(self, body)
        elif kind == "note" and self.on_note is not None:
            self.on_note(body)
        elif kind in (PARTS, PULL):
            self.owner.part(self, kind, body)

    def end(self, failure: Failure) -> None:
        """End it without an answer."""
        if not self.future.done():
            if failure.delivered == "unknown" and self.owner.never_whole(self):
                failure = failure._replace(delivered="no")
            if self.node is not None:
                failure = failure._replace(node=self.node_name)
            self.future.set_result(failure)  # type: ignore[arg-type]


def encode_call(number: int, plan: Plan, payload: bytes, progress_token: str | None, meta: bytes) -> bytes:
    """The body of a request of our own; `payload` is JSON: what of its `params` follows `plan.head`."""
    if CALL.get(None) is not None or GIVEN.get() is not None or OPENTELEMETRY in _modules:
        meta += encode_trace()
    if progress_token is not None:
        meta += b',"progressToken":"%s"' % progress_token.encode()
    return b'{"jsonrpc":"2.0","id":%d%s%s,"_meta":%s}}}' % (number, plan.head, payload, meta)


def as_it_is(number: int, plan: Plan, payload: bytes, progress_token: str | None, meta: bytes) -> bytes:
    """The body of a request that somebody else made."""
    return payload


def read_answer(answer: bytes, region: str) -> RawResult | InputRequiredResult | Failure:
    """What a response to tools/call says: a result, what it needs first, or a failure that may be retried.

    Raises:
        RemoteError: it ends the call.
    """
    response = decode_response(answer)
    if type(response) is RawResult:
        return response
    return fail(response, region) if isinstance(response, jsonrpc.RpcError) else response


def read_as(kind: type[R]) -> Callable[[bytes, str], R | InputRequiredResult | Failure]:
    """As `read_answer`, for requests whose results are of `kind`, a Struct."""

    def read(answer: bytes, region: str) -> R | InputRequiredResult | Failure:
        response = decode_result(answer, kind)
        return fail(response, region) if isinstance(response, jsonrpc.RpcError) else response

    return read


def fail(error: jsonrpc.RpcError, region: str) -> Failure:
    """What the error of a response says.

    Raises:
        RemoteError: it ends the call.
        PermissionDenied: the node refused it, and it did not begin.
    """
    failure = endings.from_error(error, region)
    if isinstance(failure, LongreachError):
        raise failure
    return failure


class _Answer(msgspec.Struct, gc=False):
    id: jsonrpc.RequestId | None = None
    error: jsonrpc.RpcError | msgspec.UnsetType = msgspec.UNSET


_answer = msgspec.json.Decoder(_Answer)


def pass_answer(answer: bytes, region: str) -> bytes | Failure:
    """A response as it is, errors that end the call included; or a failure that may be retried.

    Raises:
        RemoteError: it is no response.
    """
    try:
        error = _answer.decode(answer).error
    except BAD_JSON as broken:
        raise RemoteError(f"the node's answer is no response: {broken}", reason="bad_result") from broken
    if not answer.isascii() and not jsonrpc.is_utf8(answer):
        raise RemoteError("the node's answer is no response: it is not UTF-8", reason="bad_result")
    if error is msgspec.UNSET:
        return answer
    failure = endings.from_error(error, region)
    return failure if isinstance(failure, Failure) else answer
