"""One attempt of a call: the message that is sent, and what is done with what comes for it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from longreach.client import endings
from longreach.client.inbox import Waiter
from longreach.client.results import BAD_JSON, RawResult, decode_response
from longreach.errors import LongreachError, RemoteError
from longreach.observe import event
from longreach.wire import codes, jsonrpc

if TYPE_CHECKING:
    from longreach.client.options import OnProgress
    from longreach.policy.liveness import NodeId
    from longreach.policy.retry import Failure

_log = logging.getLogger("longreach.client.attempt")
_META = msgspec.json.encode(
    {
        "io.modelcontextprotocol/protocolVersion": codes.PROTOCOL_VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "longreach", "version": "0.1.0"},
    }
)


class Owner(Protocol):
    """Who made an attempt."""

    def accepted(self, attempt: Attempt, body: bytes) -> None:
        """A node says that it has the call."""
        ...


class Way(NamedTuple):
    """What is the same in all attempts at a target in a region: the subject, and the reply's beginning."""

    subject: str
    reply_base: str


class Attempt(Waiter):
    """One message on its way, and who has it."""

    __slots__ = ("deadline", "node", "on_progress", "owner", "region", "sent_at", "subject", "timer")

    def __init__(
        self, token: str, future: asyncio.Future[Any], owner: Owner, subject: str, region: str,
        on_progress: OnProgress | None, sent_at: float, deadline: float,
    ) -> None:  # fmt: skip
        self.token = token
        self.future = future
        self.owner = owner
        self.subject = subject
        self.region = region
        self.on_progress = on_progress
        self.sent_at = sent_at
        self.deadline = deadline
        self.node: NodeId | None = None
        self.timer: asyncio.TimerHandle | None = None

    def frame(self, kind: str, body: bytes) -> None:
        """Take a frame; those of kinds that are not known are ignored."""
        if kind == "accepted":
            self.owner.accepted(self, body)
        elif kind == "note" and self.on_progress is not None:
            pass_progress(self.on_progress, body)

    def end(self, failure: Failure) -> None:
        """End it without an answer."""
        if not self.future.done():
            self.future.set_result(failure)  # type: ignore[arg-type]


def encode_call(number: int, name_json: bytes, arguments: bytes, progress_token: str | None) -> bytes:
    """The body of a tools/call; `name_json` and `arguments` are JSON already."""
    meta = _META
    if progress_token is not None:
        meta = b'%s,"progressToken":"%s"}' % (_META[:-1], progress_token.encode())
    return (
        b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%s,"arguments":%s,"_meta":%s}}'
        % (number, name_json, arguments, meta)
    )


def read_answer(answer: bytes, region: str) -> RawResult | Failure | LongreachError:
    """What a response says: a result, a failure that may be retried, or the error that ends the call."""
    try:
        response = decode_response(answer)
    except RemoteError as error:
        return error
    return response if isinstance(response, RawResult) else endings.from_error(response, region)


def pass_progress(on_progress: OnProgress, body: bytes) -> None:
    """Hand a progress notification to the user's function; what that raises is logged, and is its own."""
    try:
        note = jsonrpc.decode_notification(body)
        if note.method != "notifications/progress":
            return
        params = msgspec.json.decode(note.params)
        progress, total, message = params["progress"], params.get("total"), params.get("message")
    except (jsonrpc.Malformed, *BAD_JSON, KeyError, TypeError, AttributeError) as error:
        event(_log, "frame.malformed", logging.WARNING, reason=str(error))
        return
    try:
        on_progress(progress, total, message)
    except Exception:  # noqa: BLE001 - the user's function, called from within the read loop
        _log.exception("progress.failed")
