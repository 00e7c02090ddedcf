"""What browsers ask for before a page of an allowed origin may speak to the gateway, and see its answers.

Which origins those are, `guard` says; here is only what they are told. Source: Fetch Standard, CORS protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from longreach_gateway.answers import Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from longreach_gateway.answers import Message, Send

_EXPOSED = b"mcp-session-id, www-authenticate, retry-after"
_MAX_AGE_S = b"600"


def is_preflight(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser asks, on behalf of a page, what it may send."""
    return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers


def preflight(headers: Mapping[bytes, bytes]) -> Whole:
    """What a page of an allowed origin may send: the methods of MCP, and the headers that it asks for."""
    wanted = headers.get(b"access-control-request-headers", b"")
    return Whole(
        204,
        headers=(
            (b"access-control-allow-methods", b"POST, GET, DELETE"),
            (b"access-control-allow-headers", wanted if wanted.isascii() else b""),
            (b"access-control-max-age", _MAX_AGE_S),
        ),
    )


def readable_by(origin: bytes, send: Send) -> Send:
    """`send`, whose answers pages of `origin` may read."""

    async def send_readable(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message["headers"],
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", _EXPOSED),
                (b"vary", b"origin"),
            ]
        await send(message)

    return send_readable
