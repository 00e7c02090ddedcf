"""One forwarded exchange as the asker sees it, and the gateway that has it."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from longreach.wire import codes, jsonrpc
from longreach_gateway.legacy.relay import frames
from longreach_gateway.legacy.relay.frames import Frame, Open

if TYPE_CHECKING:
    from longreach_gateway.answers import Message, Receive, Scope
    from longreach_gateway.auth.principal import Principal
    from longreach_gateway.legacy.exchange import Exchange
    from longreach_gateway.legacy.ids import GatewayAddress

_FORWARDED_HEADERS = frozenset({
    b"accept", b"content-type", b"last-event-id", b"mcp-session-id", b"mcp-protocol-version",
})  # fmt: skip

MAX_UNREAD = 4096
"""So many frames of an exchange may wait here; an owner that has said more does not listen."""

Ending = Literal["nobody", "refused", "lost", "left"]
"""Nobody hears the owner's subject; the broker let nothing through to it; the owner was there, and the
exchange is lost; the client went away."""


class Forwarded:
    """One exchange, as far as it has come."""

    def __init__(self, owner: GatewayAddress) -> None:
        self.owner = owner
        self.exchange = secrets.token_hex(16)
        self.came: asyncio.Queue[tuple[Frame, bytes] | Ending] = asyncio.Queue()
        self.taken = False
        self.over = False
        self._seq = 0
        self._waiting = 0
        self._consumed = 0
        self._credited = 0

    def heard(self, data: bytes | None) -> None:
        """A frame of the owner came, or word that there is none."""
        if self.came.qsize() > MAX_UNREAD:
            return  # it is lost already
        if data is None:
            self.came.put_nowait("nobody")
            return
        try:
            frame, payload = frames.decode(data, Frame)
        except ValueError:
            self.came.put_nowait("lost")
            return
        self._seq += 1
        self._waiting += len(payload)
        crowded = self.came.qsize() >= MAX_UNREAD or self._waiting > 2 * frames.WINDOW_BYTES
        if frame.seq != self._seq or crowded:
            self.came.put_nowait("lost")  # a frame was lost with the link, or the owner does not wait
        else:
            self.taken = self.taken or frame.kind == "taken"
            self.came.put_nowait((frame, payload))

    def credit(self, size: int) -> int | None:
        """`size` bytes have gone to the client; what to tell the owner, if that is worth a message."""
        self._waiting -= size
        self._consumed += size
        if self._consumed - self._credited < frames.WINDOW_BYTES // 2:
            return None
        self._credited = self._consumed
        return self._consumed


class Owner:
    """Another gateway, and what it has of ours."""

    def __init__(self, address: GatewayAddress, verb: str, now: float) -> None:
        self.address = address
        self.verb = verb
        self.heard = now
        self.misses = 0
        self.refusals = 0
        self.exchanges: dict[str, Forwarded] = {}

    def lost(self, ending: Ending) -> None:
        """All of it has ended."""
        for forwarded in self.exchanges.values():
            forwarded.came.put_nowait(ending)

    def refused(self) -> None:
        """The broker refused one of the messages that open an exchange; it does not say which."""
        self.refusals += 1
        self.settle()

    def settle(self) -> None:
        """End the exchanges that are not taken, once as many messages were refused as there are of them.

        Those that the owner has taken were not refused. With fewer refusals than exchanges, any of them may
        be there and may run: each is taken, or its time runs out.
        """
        untaken = [each for each in self.exchanges.values() if not each.taken]
        if not self.refusals or self.refusals < len(untaken):
            return
        self.refusals = 0
        for forwarded in untaken:
            forwarded.came.put_nowait("refused")


async def watch(receive: Receive, forwarded: Forwarded) -> None:
    """Notice when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    forwarded.came.put_nowait("left")


def opening_of(sender: GatewayAddress, forwarded: Forwarded, exchange: Exchange) -> Open:
    """What tells the owner of an exchange."""
    scope = exchange.scope
    pairs = [
        (key.decode("latin-1"), value.decode("latin-1"))
        for key, value in scope["headers"]
        if key in _FORWARDED_HEADERS
    ]
    return Open(
        forwarded.exchange, sender, scope["method"], scope["path"], pairs,
        query=scope["query_string"].decode("latin-1"), server=exchange.server, caller=exchange.caller,
        size=len(exchange.body or b""), client=client_of(scope), **_told_of(exchange.principal),
    )  # fmt: skip


def client_of(scope: Scope) -> str | None:
    """The address that an exchange came from."""
    client = scope.get("client")
    return str(client[0])[:100] if client else None


def _told_of(principal: Principal | None) -> dict[str, Any]:
    if principal is None or principal.claims is None:
        return {}
    return {"claims": msgspec.json.decode(principal.claims), "until": principal.expires_at}


def start_of(frame: Frame) -> Message:
    """The beginning of the response."""
    headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in frame.headers]
    return {"type": "http.response.start", "status": frame.status, "headers": headers}


def is_stream(frame: Frame) -> bool:
    """Whether the response is a stream of events."""
    return any(
        key.lower() == "content-type" and value.startswith("text/event-stream")
        for key, value in frame.headers
    )


class _Called(msgspec.Struct):
    id: jsonrpc.RequestId
    method: str


def lost_event(exchange: Exchange) -> bytes:
    """What ends the stream of a call whose owner is gone: its client must not wait for ever."""
    if exchange.body is None:
        return b""
    try:
        called = msgspec.json.decode(exchange.body, type=_Called)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""
    text = "the gateway that had this session is gone; the call may have run; initialize again"
    data = {"reason": "session_lost", "delivered": "unknown"}
    error = jsonrpc.encode_error(called.id, codes.INTERNAL_ERROR, text, data)
    return b"event: message\r\ndata: %b\r\n\r\n" % error
