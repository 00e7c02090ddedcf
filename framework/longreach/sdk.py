"""Transports for the official SDK, so that its clients reach the mesh over NATS.

``Client(longreach.sdk.transport())`` is a client of the mesh as others are of a URL; nothing else in its
code changes. Needs the official SDK, ``mcp`` 2.3 or newer (``pip install "longreach[bridge]"``).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from longreach.client.connect import connect
from longreach.errors import ConfigError
from longreach.front import LISTEN, UNAVAILABLE, Filters, Front
from longreach.front.filters import EVERYTHING
from longreach.observe import event
from longreach.wire import codes
from longreach.wire.incoming import Incoming, decode_incoming
from longreach.wire.jsonrpc import Malformed, RequestId, encode_error

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.shared.message import SessionMessage

    from longreach.client.mesh import Mesh

    Streams = tuple[
        MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]
    ]

_log = logging.getLogger("longreach.sdk")
MAX_IN_FLIGHT = 10_000
"""More requests at a time are refused: each is a task, and a slow mesh must not fill the memory."""
MAX_UNREAD = 10_000
"""While so many messages wait for a client that does not read, progress and logs are dropped."""


def transport(
    nats: str | Sequence[str] | None = None,
    *,
    server: str | None = None,
    mesh: Mesh | None = None,
    filters: Filters = EVERYTHING,
    search_above: int | None = None,
    caller: str | None = None,
    timeout_s: float | None = None,
    **connection: Any,
) -> AbstractAsyncContextManager[Streams]:
    """The mesh, or one of its servers, as a transport for the official SDK's `Client`.

    Requests run concurrently; what the client cancels is cancelled on its node. The streams outlive
    reconnects: a call that is lost with the link ends in an error of its own, and all others go on.

    Args:
        nats: the broker's URL; without any, the embedded broker of a node that this user runs here.
        server: one server under its own names; None: all, under names of the whole mesh.
        mesh: use this connection, which stays open; then `nats` and `connection` are not given.
        filters: what may be seen and called.
        search_above: with more tools than this, offer a search instead of the list.
        caller: the name that the broker's permissions give to this client.
        timeout_s: the time limit of each request; None: the tool's own, or 60 s.
        connection: more for `longreach.connect`, such as `region` and `residency`.

    Raises:
        ConfigError: the SDK is not installed, or both a mesh and a broker are given.
        BrokerUnavailable: on entering: no broker.
    """
    if mesh is not None and (nats is not None or connection):
        raise ConfigError("give a mesh, or what to connect to, not both: the mesh is connected already")
    return _carry(_reader(), nats, server, mesh, filters, search_above, caller, timeout_s, connection)


@asynccontextmanager
async def _carry(
    read: Callable[[bytes], SessionMessage],
    nats: str | Sequence[str] | None,
    server: str | None,
    mesh: Mesh | None,
    filters: Filters,
    search_above: int | None,
    caller: str | None,
    timeout_s: float | None,
    connection: dict[str, Any],
) -> AsyncIterator[Streams]:
    async with AsyncExitStack() as stack:
        if mesh is None:
            mesh = await stack.enter_async_context(connect(nats, caller=caller, **connection))
        front = Front(mesh, server=server, filters=filters, search_above=search_above)
        to_client, reading = anyio.create_memory_object_stream["SessionMessage | Exception"](0)
        writing, from_client = anyio.create_memory_object_stream["SessionMessage"](0)
        carrier = _Carrier(front, read, to_client, from_client, caller, timeout_s)
        async with to_client, reading, writing, from_client, anyio.create_task_group() as tasks:
            tasks.start_soon(carrier.read, tasks)
            tasks.start_soon(carrier.write)
            try:
                yield reading, writing
            finally:
                tasks.cancel_scope.cancel()


class _Carrier:
    """Carries one client's messages to a front, and what comes back."""

    def __init__(
        self,
        front: Front,
        read: Callable[[bytes], SessionMessage],
        to_client: MemoryObjectSendStream[SessionMessage | Exception],
        from_client: MemoryObjectReceiveStream[SessionMessage],
        caller: str | None,
        timeout_s: float | None,
    ) -> None:
        self._front = front
        self._read = read
        self._to_client = to_client
        self._from_client = from_client
        self._caller = caller
        self._timeout_s = timeout_s
        self._running: dict[RequestId, anyio.CancelScope] = {}
        self._unread: deque[SessionMessage] = deque()
        self._news = anyio.Event()

    async def read(self, tasks: anyio.abc.TaskGroup) -> None:
        """Take the client's messages until it closes its stream."""
        async for item in self._from_client:
            message = item.message
            method = getattr(message, "method", None)
            if method is None:  # a response: nothing was asked
                continue
            request_id = getattr(message, "id", None)
            if request_id is None:
                self._notified(method, getattr(message, "params", None))
                continue
            try:
                data = message.model_dump_json(by_alias=True, exclude_unset=True).encode()
                request = decode_incoming(data)
            except Malformed as malformed:
                self._put(encode_error(malformed.id, malformed.code, str(malformed)))
            except ValueError as error:  # it has no JSON form, such as half of a surrogate pair
                self._put(encode_error(request_id, codes.INVALID_PARAMS, str(error)))
            else:
                self._begin(request, tasks)

    async def write(self) -> None:
        """Give the client what there is for it, in order; the last of a request is its response."""
        while True:
            while self._unread:
                try:
                    await self._to_client.send(self._unread.popleft())
                except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                    for scope in self._running.values():  # the client reads no more
                        scope.cancel()
                    return
            self._news = anyio.Event()
            await self._news.wait()

    def _begin(self, request: Incoming, tasks: anyio.abc.TaskGroup) -> None:
        if request.id in self._running:
            text = "a request with this id is still running; use each id once"
            self._put(encode_error(request.id, codes.INVALID_REQUEST, text))
        elif len(self._running) >= MAX_IN_FLIGHT:
            text = f"{MAX_IN_FLIGHT} requests are running; nothing ran, try again later"
            self._put(encode_error(request.id, UNAVAILABLE, text, {"delivered": "no", "reason": "busy"}))
        else:
            scope = self._running[request.id] = anyio.CancelScope()
            tasks.start_soon(self._run, request, scope)

    async def _run(self, request: Incoming, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                if request.method == LISTEN:
                    await self._listen(request)
                else:
                    answer = await self._front.handle(
                        request, caller=self._caller, on_note=self._put_note, timeout_s=self._timeout_s
                    )
                    self._put(answer.data, request.id)
        finally:
            del self._running[request.id]

    async def _listen(self, request: Incoming) -> None:
        try:
            async with aclosing(self._front.listen(request, caller=self._caller)) as messages:
                async for data in messages:
                    self._put(data, request.id)
        except Exception:  # noqa: BLE001 - nothing else ends a subscription: the client must hear of it
            _log.exception("listen.failed")
            text = "the subscription broke; listen again, and fetch what may have changed"
            self._put(encode_error(request.id, codes.INTERNAL_ERROR, text))

    def _notified(self, method: str, params: Any) -> None:
        """The client gives a request up; nothing else that it may notify matters here."""
        if method == "notifications/cancelled" and isinstance(params, dict):
            request_id = params.get("requestId")
            scope = self._running.get(request_id) if isinstance(request_id, int | str) else None
            if scope is not None:
                scope.cancel()

    def _put(self, data: bytes, request_id: RequestId | None = None) -> None:
        """Have the client get a message; one that the SDK cannot read becomes an error for `request_id`."""
        try:
            message = self._read(data)
        except ValueError as error:
            event(_log, "message.malformed", logging.WARNING, reason=str(error))
            if request_id is None:
                return
            text = "the answer is no JSON-RPC response"
            message = self._read(encode_error(request_id, codes.INTERNAL_ERROR, text))
        self._unread.append(message)
        self._news.set()

    def _put_note(self, data: bytes) -> None:
        if len(self._unread) < MAX_UNREAD:
            self._put(data)


def _reader() -> Callable[[bytes], SessionMessage]:
    """From a message's bytes to what the SDK's streams carry.

    Raises:
        ConfigError: the SDK is not installed.
    """
    try:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter
    except ImportError as error:
        raise ConfigError(
            'longreach.sdk needs the official SDK: pip install "mcp>=2.3", or "longreach[bridge]"'
        ) from error
    return lambda data: SessionMessage(jsonrpc_message_adapter.validate_json(data, by_name=False))
