"""One exchange of HTTP: what was asked, by whom, about what, and where the answer goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from longreach.wire import codes
from longreach.wire.jsonrpc import RequestId
from longreach_gateway.answers import Refusal

if TYPE_CHECKING:
    from longreach_gateway.answers import Message, Receive, Scope, Send
    from longreach_gateway.auth.principal import Principal

SESSION_HEADER = b"mcp-session-id"
VERSION_HEADER = b"mcp-protocol-version"


class Exchange(NamedTuple):
    """As ASGI has it, but that the body has been read.

    Attributes:
        scope: of ASGI.
        receive: tells when the client goes away.
        send: of ASGI.
        body: the whole of it; None where there is none.
        server: the server it is about; None: the mesh.
        caller: the principal, or None.
        principal: the same, with what is known of it.
    """

    scope: Scope
    receive: Receive
    send: Send
    body: bytes | None
    server: str | None
    caller: str | None
    principal: Principal | None = None

    def header(self, name: bytes) -> str | None:
        """A header's value, without white space around it."""
        for key, value in self.scope["headers"]:
            if key == name:
                text: str = value.decode("latin-1")
                return text.strip(" \t")
        return None

    def unread(self) -> Receive:
        """`receive` as if the body had not been read yet."""
        read = False

        async def again() -> Message:
            nonlocal read
            if read:
                return await self.receive()
            read = True
            return {"type": "http.request", "body": self.body or b"", "more_body": False}

        return again


class _Message(msgspec.Struct):
    """What each message must be, of which kind soever."""

    jsonrpc: Literal["2.0"]
    id: RequestId | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: dict[str, Any] | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Message)


def check_message(body: bytes) -> None:
    """Refuse what is no message of JSON-RPC, in our words.

    The SDK would take a request whose id is null, or a fraction, for a notification.

    Raises:
        Refusal: it is none.
    """
    try:
        _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(400, codes.INVALID_REQUEST, f"this is no message of MCP: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, codes.PARSE_ERROR, "this is not JSON") from None
