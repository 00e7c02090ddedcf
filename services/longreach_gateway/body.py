"""Reading a body, within its limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from longreach.wire import codes
from longreach_gateway.answers import Refusal

if TYPE_CHECKING:
    from longreach_gateway.answers import Receive


_MAX_SHOWN = 64
_MAX_DIGITS = 20
"""More of them cannot make a number smaller that is too large already."""


class Disconnected(Exception):
    """The client went away before its request was whole."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], max_bytes: int) -> bytes:
    """The whole body.

    Args:
        receive: of the ASGI server.
        headers: of the request, by lower-case name.
        max_bytes: more than that is not even read.

    Raises:
        Refusal: it is too large (413), or compressed (415).
        Disconnected: the client went away.
    """
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"identity", b""):
        shown = encoding[:_MAX_SHOWN].decode("ascii", "replace")
        text = f"the body is encoded as {shown} (Content-Encoding), which is not taken here: send it as it is"
        raise Refusal(415, codes.INVALID_REQUEST, text)
    declared = headers.get(b"content-length")
    if declared is not None and (not declared.isdigit() or int(declared[:_MAX_DIGITS]) > max_bytes):
        raise _too_large(max_bytes)
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        return await _read_rest(receive, body, max_bytes)
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


async def _read_rest(receive: Receive, body: bytes, max_bytes: int) -> bytes:
    parts, size, more = [body], len(body), True
    while more:
        if size > max_bytes:
            raise _too_large(max_bytes)
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        more = message.get("more_body", False)
    if size > max_bytes:
        raise _too_large(max_bytes)
    return b"".join(parts)


def _too_large(max_bytes: int) -> Refusal:
    # The connection stays: closing it with unread bytes would reset it, and the client would see no answer.
    # uvicorn throws away what still comes, and `protocol.sweep` bounds for how long.
    text = f"the body is larger than the {max_bytes} bytes that are taken here"
    return Refusal(413, codes.INVALID_REQUEST, text)
