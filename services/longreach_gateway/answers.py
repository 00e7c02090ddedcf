"""What is sent back: HTTP statuses for JSON-RPC errors, and answers that are whole at once."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from longreach.front.endings import UNAVAILABLE
from longreach.wire import codes
from longreach.wire.jsonrpc import RequestId, encode_error

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

STATUS_OF = {
    codes.PARSE_ERROR: 400,
    codes.INVALID_REQUEST: 400,
    codes.INVALID_PARAMS: 400,
    codes.MISMATCH: 400,
    codes.MISSING_CAPABILITY: 400,
    codes.UNSUPPORTED_VERSION: 400,
    codes.METHOD_NOT_FOUND: 404,
}
"""For errors of ours and of nodes alike; an error with another code is an answer, and goes with 200."""

_JSON_TYPE: Header = (b"content-type", b"application/json")
_NO_CONTENT = 204
_CLOSE: Header = (b"connection", b"close")


class Refusal(Exception):
    """A request that is not carried out, and what its sender is told.

    Args:
        status: the HTTP status.
        code: the JSON-RPC error's code.
        message: one sentence.
        data: the error's data.
        request_id: the request's, if it is known.
        headers: further ones.
        close: whether the connection is of no more use: there may be more of the request to come.
    """

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        data: Any = None,
        *,
        request_id: RequestId | None = None,
        headers: tuple[Header, ...] = (),
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = encode_error(request_id, code, message, data)
        self.headers = (*headers, _CLOSE) if close else headers


class Whole(NamedTuple):
    """An answer without a stream."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = (_JSON_TYPE,)


async def send_json(send: Send, status: int, body: bytes) -> None:
    """Send a JSON body, untouched: the fast way out."""
    await send({
        "type": "http.response.start",
        "status": status,
        "headers": [_JSON_TYPE, (b"content-length", b"%d" % len(body))],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": body})


async def send_whole(send: Send, answer: Whole) -> None:
    """Send an answer as it says."""
    headers = list(answer.headers)
    if answer.status != _NO_CONTENT:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Tell a sender why its request is not carried out."""
    await send_whole(send, Whole(refusal.status, refusal.body, (_JSON_TYPE, *refusal.headers)))


def too_busy(
    status: int,
    message: str,
    request_id: RequestId | None = None,
    retry_after_s: float = 1.0,
    limit: str | None = None,
) -> Refusal:
    """A refusal for want of room: nothing ran, and the sender may ask again.

    Args:
        status: of HTTP.
        message: for people.
        request_id: of the request.
        retry_after_s: when it makes sense to ask again.
        limit: the kind of limit that the sender is beyond; None: it is not its own doing.
    """
    data = {"delivered": "no", "reason": "busy", "retryAfterMs": math.ceil(retry_after_s * 1000)}
    return Refusal(
        status,
        UNAVAILABLE,
        message,
        data if limit is None else {**data, "limit": limit},
        request_id=request_id,
        headers=((b"retry-after", b"%d" % math.ceil(retry_after_s)),),
    )
