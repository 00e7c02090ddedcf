"""A mesh that answers as a test says, for what stands in front of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from longreach.front.personal import Claims
from longreach.wire import jsonrpc
from longreach.wire.incoming import Incoming

Handler = Callable[["Asked"], Awaitable[Any]]

SERVER_INFO = {"name": "double", "version": "9"}
DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}},
    "instructions": "be kind",
    "ttlMs": 0,
    "cacheScope": "private",
    "_meta": {"io.modelcontextprotocol/serverInfo": SERVER_INFO},
}


class Answered(NamedTuple):
    data: bytes
    code: int | None = None


class Asked(NamedTuple):
    """One request as the mesh got it."""

    request: Incoming
    params: dict[str, Any]
    caller: str | None
    on_note: Callable[[bytes], None] | None
    claims: Claims | None = None

    @property
    def meta(self) -> dict[str, Any]:
        return self.params["_meta"]

    def note(self, method: str, params: Any) -> None:
        assert self.on_note is not None
        self.on_note(jsonrpc.encode_notification(method, params))


class FaceDouble:
    """`longreach.front.Front`, as far as gateways use it.

    A handler returns the result, or raises `Refused`.
    """

    def __init__(self, **handlers: Handler) -> None:
        self.handlers: dict[str, Handler] = {
            name.replace("_", "/", 1): handler for name, handler in handlers.items()
        }
        self.asked: list[Asked] = []
        self.cancelled: list[str] = []
        self.streams: list[asyncio.Queue[bytes | None]] = []
        self.listens: list[dict[str, Any]] = []
        self.acknowledge = True
        self.open_listens = 0

    async def handle(
        self,
        request: Incoming,
        *,
        caller: str | None = None,
        on_note: Callable[[bytes], None] | None = None,
        timeout_s: float | None = None,
        claims: Claims | None = None,
    ) -> Answered:
        asked = Asked(request, msgspec.json.decode(request.params), caller, on_note, claims)
        self.asked.append(asked)
        handler = self.handlers.get(request.method)
        if handler is None and request.method == "server/discover":
            return Answered(jsonrpc.encode_result(request.id, DISCOVERED))
        if handler is None:
            return Answered(jsonrpc.encode_error(request.id, -32601, "no such method"), -32601)
        try:
            return Answered(jsonrpc.encode_result(request.id, await handler(asked)))
        except Refused as refused:
            data = jsonrpc.encode_error(request.id, refused.code, str(refused), refused.data)
            return Answered(data, refused.code)
        except asyncio.CancelledError:
            self.cancelled.append(request.method)
            raise

    async def listen(self, request: Incoming, *, caller: str | None = None) -> AsyncIterator[bytes]:
        wanted = msgspec.json.decode(request.params)["notifications"]
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.streams.append(queue)
        self.listens.append(wanted)
        self.open_listens += 1
        meta = {"io.modelcontextprotocol/subscriptionId": request.id}
        try:
            if self.acknowledge:
                yield jsonrpc.encode_notification(
                    "notifications/subscriptions/acknowledged", {"notifications": wanted, "_meta": meta}
                )
            while (data := await queue.get()) is not None:
                yield data
        finally:
            self.open_listens -= 1

    def tell(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Let every stream say so."""
        meta = {"io.modelcontextprotocol/subscriptionId": 0}
        for queue in self.streams:
            queue.put_nowait(jsonrpc.encode_notification(method, {**(params or {}), "_meta": meta}))

    def break_off(self) -> None:
        """End every stream without a word."""
        for queue in self.streams:
            queue.put_nowait(None)
        self.streams.clear()


class Refused(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def complete(**members: Any) -> dict[str, Any]:
    return {"resultType": "complete", **members}


def text_result(text: str, **members: Any) -> dict[str, Any]:
    return complete(content=[{"type": "text", "text": text}], **members)
