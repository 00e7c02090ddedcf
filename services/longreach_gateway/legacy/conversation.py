"""One legacy client from its initialize to its end, whatever carries its messages.

The official SDK's dispatcher correlates requests and responses and applies cancellations; what is said is
ours, so that nothing of it is lost: results are not decoded into the SDK's models.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from mcp.shared.dispatcher import DispatchContext
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import SessionMessage
from mcp.shared.transport_context import TransportContext

from longreach.front.personal import Claims
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.wire import codes, jsonrpc
from longreach.wire.incoming import Incoming, decode_incoming
from longreach_gateway.legacy import eras
from longreach_gateway.legacy.face import Face
from longreach_gateway.legacy.limits import LIMITS, Limits, Load
from longreach_gateway.legacy.notes import Notes
from longreach_gateway.legacy.rounds import MeshError, Rounds
from longreach_gateway.legacy.subscriptions import Subscriptions

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream, WriteStream

    from longreach_gateway.audit import Audit

_log = logging.getLogger("longreach.gateway.legacy")

CLAIMS = "longreach.claims"
"""Where the scope of an exchange has what nodes are told of its user."""

Params = Mapping[str, Any] | None
Context = DispatchContext[TransportContext]


class Conversation:
    """What a legacy client is answered.

    Args:
        face: the mesh.
        caller: the client's principal, or None.
        name: what the server is called where the mesh is out of reach.
        limits: of the client.
        load: what all clients keep busy; None: there is no other client.
        audit: tells of requests; None: nobody does.
    """

    def __init__(
        self,
        face: Face,
        *,
        caller: str | None = None,
        name: str = "longreach",
        limits: Limits = LIMITS,
        load: Load | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._audit = audit
        self.client: eras.Client | None = None
        self._face = face
        self._caller = caller
        self._name = name
        self._limits = limits
        self._load = load or Load(limits)
        self._log_level = eras.DEFAULT_LOG_LEVEL
        self._next_id = partial(next, itertools.count(1))
        self._tasks = TaskSet("conversation")
        self._running = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._dispatcher: JSONRPCDispatcher[TransportContext] | None = None
        self._rounds: Rounds | None = None
        self._subscriptions: Subscriptions | None = None
        self._methods: dict[str, Callable[[Params], Awaitable[dict[str, Any]]]] = {
            "logging/setLevel": self._set_level,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._unsubscribe,
        }

    async def run(
        self, read: ReadStream[SessionMessage | Exception], write: WriteStream[SessionMessage]
    ) -> None:
        """Answer until `read` ends; then what is still being answered is cancelled."""
        self._dispatcher = JSONRPCDispatcher(read, write, inline_methods=frozenset({"initialize"}))
        try:
            await self._dispatcher.run(self._on_request, self._on_notify)
        finally:
            with anyio.CancelScope(shield=True):
                if self._subscriptions is not None:
                    await self._subscriptions.close()
                await self._tasks.close()

    async def quiet(self) -> None:
        """Wait until nothing is being answered."""
        await self._quiet.wait()

    async def _on_request(self, context: Context, method: str, params: Params) -> dict[str, Any]:
        if method == "ping":
            return {}
        scope = _scope_of(context)
        if self._audit is None or not scope:
            return await self._admitted(context, method, params)
        entry = self._audit.begin(scope, "legacy")
        entry.by(self._caller)
        entry.asks(_as_asked(context, method, params))
        try:
            result = await self._admitted(context, method, params)
            entry.answered(200, b'"isError":true' if result.get("isError") is True else b"", None)
            return result
        except MCPError as error:
            said = jsonrpc.encode_error(None, error.code, error.message, error.data)
            entry.answered(200, said, error.code, error.delivered if isinstance(error, MeshError) else None)
            raise
        finally:
            entry.end()

    async def _admitted(self, context: Context, method: str, params: Params) -> dict[str, Any]:
        limited = self._load.comes(self._caller)
        if limited is not None:
            after_ms = math.ceil(limited.retry_after_s * 1000)
            data = {"reason": "busy", "delivered": "no", "retryAfterMs": after_ms, "limit": limited.limit}
            raise MeshError(codes.INTERNAL_ERROR, "you ask too often; ask again a little later", data, "no")
        if self._running >= self._limits.concurrent or not self._load.enter(self._caller):
            text = "as many requests are being answered as may be; wait for one to end"
            raise MeshError(codes.INTERNAL_ERROR, text, {"reason": "busy", "delivered": "no"}, "no")
        self._running += 1
        self._quiet.clear()
        try:
            return await self._answer(context, method, params)
        except MCPError:
            raise
        except Exception as error:
            event(_log, "request.failed", logging.ERROR, method=method, error=repr(error))
            raise MCPError(codes.INTERNAL_ERROR, "internal error; the gateway's log says more") from error
        finally:
            self._load.leave(self._caller)
            self._running -= 1
            if not self._running:
                self._quiet.set()

    async def _answer(self, context: Context, method: str, params: Params) -> dict[str, Any]:
        claims = _claims_of(context)
        if method == "initialize":
            return await self._initialize(params, claims)
        own = self._methods.get(method)
        if own is None and method not in eras.FORWARDED:
            raise MCPError(codes.METHOD_NOT_FOUND, f"there is no method {method}", method)
        if self._rounds is None:
            raise MCPError(codes.INVALID_REQUEST, f"{method} came before initialize")
        if own is not None:
            return await own(params)
        notes = Notes(context.notify, self._tasks, self._limits.notes)
        try:
            answer = await self._rounds.answer(
                method, params, self._log_level, context.send_raw_request, notes, claims
            )
        except MCPError:
            await notes.flush(self._limits.flush_s)
            raise
        except BaseException:
            notes.stop()
            raise
        await notes.flush(self._limits.flush_s)
        return answer

    async def _on_notify(self, context: Context, method: str, params: Params) -> None:
        # Cancellations were applied by the dispatcher; and nobody needs to hear of changed roots: they are
        # asked for anew in each call that wants them.
        if method == "notifications/initialized" and self._subscriptions is not None:
            self._subscriptions.watch_lists()

    async def _initialize(self, params: Params, claims: Claims | None) -> dict[str, Any]:
        if self.client is not None:
            raise MCPError(codes.INVALID_REQUEST, "this session is initialized already; open another one")
        client = eras.read_client(params)
        if client is None:
            text = "initialize needs protocolVersion, capabilities and clientInfo"
            raise MCPError(codes.INVALID_PARAMS, text)
        discovered = await self._discover(client, claims)
        assert self._dispatcher is not None, "requests come from the dispatcher"
        self._rounds = Rounds(self._face, client, self._caller, self._limits, self._next_id)
        self._subscriptions = Subscriptions(
            self._face, client, self._caller, self._limits, self._dispatcher.notify, self._next_id
        )
        self.client = client
        return eras.initialize_result(client.version, discovered, self._name)

    async def _discover(self, client: eras.Client, claims: Claims | None) -> dict[str, Any] | None:
        """What the mesh says of itself; None if it says nothing in time: it may come later."""
        request = decode_incoming(eras.modern_request(self._next_id(), "server/discover", None, client))
        with anyio.move_on_after(self._limits.discover_s):
            answer = await self._face.handle(request, caller=self._caller, claims=claims)
            result = jsonrpc.decode_response(answer.data).result
            if result is not msgspec.UNSET:
                return msgspec.json.decode(result, type=dict[str, Any])
        return None

    async def _set_level(self, params: Params) -> dict[str, Any]:
        level = (params or {}).get("level")
        if level not in eras.LOG_LEVELS:
            raise MCPError(codes.INVALID_PARAMS, f"level must be one of {', '.join(eras.LOG_LEVELS)}")
        self._log_level = level
        return {}

    async def _subscribe(self, params: Params) -> dict[str, Any]:
        assert self._subscriptions is not None, "there is a client"
        await self._subscriptions.add(_uri(params))
        return {}

    async def _unsubscribe(self, params: Params) -> dict[str, Any]:
        assert self._subscriptions is not None, "there is a client"
        self._subscriptions.remove(_uri(params))
        return {}


def _claims_of(context: Context) -> Claims | None:
    """What nodes are told of the user whose exchange brought this very message."""
    return _scope_of(context).get(CLAIMS)


def _scope_of(context: Context) -> MutableMapping[str, Any]:
    """The exchange that brought a message, as ASGI has it; empty where it came over no HTTP."""
    request = getattr(context.message_metadata, "request_context", None)
    scope: MutableMapping[str, Any] = getattr(request, "scope", {})
    return scope


def _as_asked(context: Context, method: str, params: Params) -> Incoming:
    """A request as the audit log knows it: what it is about, and no more."""
    given = params or {}
    said = {key: given[key] for key in ("name", "uri") if isinstance(given.get(key), str)}
    body = {"jsonrpc": "2.0", "id": context.request_id, "method": method, "params": said}
    return decode_incoming(msgspec.json.encode(body))


def _uri(params: Params) -> str:
    uri = (params or {}).get("uri")
    if not isinstance(uri, str) or not uri:
        raise MCPError(codes.INVALID_PARAMS, "params.uri must name a resource")
    return uri
