"""The channel to a foreign server at a URL: Streamable HTTP of both eras, by the SDK's transport.

Each request has a POST of its own, and what comes on its stream belongs to it. The SDK does not say on
whose stream a message came; but it takes each one out in the context (`contextvars`) in which its request
was sent.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import Any

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCMessage, jsonrpc_message_adapter

from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.wire import codes, jsonrpc
from longreach.wire.jsonrpc import RequestId
from longreach.wire.values import NotFinite, encode
from longreach_bridge.foreign.calls import NOT_JSON
from longreach_bridge.foreign.channel import Arrived, Lost, Outgoing
from longreach_bridge.foreign.httpclient import CUT, NOT_SENT, REJECTED, PatientClient, Secrets

_log = logging.getLogger("longreach.bridge")

_origin: ContextVar[RequestId | None] = ContextVar("longreach_bridge_origin", default=None)
_MAX_EVENT = 64 * 1024 * 1024
_CLOSE_TIMEOUT_S = 5.0
_CONNECTION_CLOSED = -32000
_PARSE_ERROR = -32700
_OVER = Lost("it has forgotten the session")
_FATES = {
    NOT_SENT: Lost("it cannot be reached"),
    REJECTED: Lost("it does not accept the credentials", hopeless=True),
    CUT: Lost("the connection broke before its answer came", sent=True),
}
_ENDING = (NOT_SENT, REJECTED)


def _fate(error: ErrorData) -> tuple[Lost | None, bool]:
    """What an error means that the SDK, or the client under it, made up; and whether the connection ends.

    The SDK marks its own errors in no way; its words are held by a test.
    """
    if error.code in _FATES:
        return _FATES[error.code], error.code in _ENDING
    if error.code == codes.INVALID_REQUEST and error.message == "Session terminated":
        return _OVER, True
    cut = (
        (error.code == _CONNECTION_CLOSED and error.message.startswith("SSE stream"))
        or (error.code == _PARSE_ERROR and error.message.startswith("Failed to parse"))
    )  # fmt: skip
    return (_FATES[CUT] if cut else None), False


class HttpChannel:
    """A connection to a URL.

    Args:
        name: for logs.
        url: of the endpoint.
        secrets: the headers that hold credentials.
        transport: carries HTTP; None: the network.
    """

    knows_origin = True
    mirrors_headers = True

    def __init__(
        self, name: str, url: str, secrets: Secrets, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._url = url
        self._client = PatientClient(secrets, transport)
        self._tasks = TaskSet(f"http {name}")
        self._leave = asyncio.Event()
        self._lost: Lost | None = None
        self._write: Any = None
        self._read: Any = None
        self._holding: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Get ready to send; nothing is sent yet."""
        up = asyncio.get_running_loop().create_future()
        self._holding = self._tasks.spawn(self._hold(up), name="http")
        await up

    async def send(self, message: Outgoing) -> None:
        """Send a request, which its answer ends, or a message without one.

        Raises:
            Lost: the connection is closed.
        """
        if self._lost is not None or self._write is None:
            raise self._lost or Lost("the connection is closed")
        headers = dict(message.headers)
        if message.version is not None:
            headers[MCP_PROTOCOL_VERSION_HEADER] = message.version
        if message.method is not None and message.version == codes.PROTOCOL_VERSION:
            headers[MCP_METHOD_HEADER] = message.method
        body = jsonrpc_message_adapter.validate_json(message.data, by_name=False)
        token = _origin.set(message.id)
        try:
            await self._write.send(
                SessionMessage(body, metadata=ClientMessageMetadata(headers=headers or None))
            )
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise Lost("the connection is closed", sent=True) from None
        finally:
            _origin.reset(token)

    async def receive(self) -> Arrived:
        """The next message.

        Raises:
            Lost: the server cannot be reached, rejects us, or has forgotten our session.
        """
        while self._lost is None:
            try:
                item = await self._read.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                break
            if not isinstance(item, Exception):
                arrived = self._arrived(item.message)
                if arrived is not None:
                    return arrived
        self._lost = self._lost or Lost("the connection is closed", sent=True)
        raise self._lost

    def _arrived(self, message: JSONRPCMessage) -> Arrived | None:
        """Return what has come; None for a notification that holds what JSON does not have."""
        context = self._read.last_context
        fate = None
        if isinstance(message, JSONRPCError):
            fate, ends = _fate(message.error)
            if ends:  # once this one has been told
                self._lost = fate
        body = message.model_dump(by_alias=True, mode="json", exclude_unset=True)
        try:
            data = encode(body)
        except NotFinite as error:  # the SDK's parser lets NaN in
            if "id" not in body or "method" in body:
                event(_log, "foreign.unreadable", logging.WARNING, server=self._url, reason=str(error))
                return None
            data = jsonrpc.encode_error(body["id"], codes.INTERNAL_ERROR, f"{NOT_JSON}: {error}")
        return Arrived(data, context.get(_origin) if context is not None else None, fate)

    async def close(self) -> None:
        """End the session and close the connection."""
        self._leave.set()
        if self._holding is not None:
            await asyncio.wait({self._holding}, timeout=_CLOSE_TIMEOUT_S)
        await self._tasks.close()

    async def _hold(self, up: asyncio.Future[None]) -> None:
        try:
            async with (
                self._client,
                streamable_http_client(
                    self._url, http_client=self._client, max_sse_event_size=_MAX_EVENT
                ) as (self._read, self._write),
            ):
                up.set_result(None)
                await self._leave.wait()
        except Exception as error:  # noqa: BLE001 - whatever ends the transport is the end of the connection
            self._lost = Lost(f"the connection broke: {type(error).__name__}", sent=True)
            if not up.done():
                up.set_exception(Lost(f"{self._url} cannot be used: {error}", hopeless=True))
