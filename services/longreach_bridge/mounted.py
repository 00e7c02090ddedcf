"""A server of the official SDK or of FastMCP, inside this process: each request is served by itself.

The object keeps its own middleware, validation and dependencies; nothing of it is copied. What it lists is
offered in the mesh as it is, and is listed again when it says that something has changed, and every few
seconds, because not every server says so.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from mcp.server.connection import Connection
from mcp.server.runner import serve_one
from mcp.server.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from longreach.errors import LongreachError, ProtocolError
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.wire import codes
from longreach.wire.values import NotFinite, encode
from longreach_bridge._sdk import bus_of
from longreach_bridge.eras import ERA_KEY, shown_era
from longreach_bridge.exchange import Exchange, Outside
from longreach_bridge.foreign.mapping import ROUND, mesh_error
from longreach_bridge.foreign.parking import PREFIX
from longreach_bridge.inside import Inside
from longreach_bridge.kinds import LISTINGS, Listing
from longreach_bridge.shelf import Definition, Shelf

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server as LowLevel
    from mcp.server.subscriptions import ServerEvent

    from longreach.actor.raw import RawRequest
    from longreach.actor.server import Server

_log = logging.getLogger("longreach.bridge")
_PREFIX = "io.modelcontextprotocol/"
_VERSION, _CAPABILITIES, _INFO = (
    _PREFIX + key for key in ("protocolVersion", "clientCapabilities", "clientInfo")
)
_ENVELOPE = {
    _VERSION: codes.PROTOCOL_VERSION,
    _CAPABILITIES: {},
    _INFO: {"name": "longreach", "version": "1"},
}
_COMPLETE = "completion/complete"
_READ = "resources/read"
_MAY_ASK = frozenset({"tools/call", "prompts/get", _READ})
_ABILITIES = ("elicitation", "sampling", "roots")
_MAX_PAGES = 1_000
_LOOK_AGAIN_S = 12.0
"""Clients keep a listing for as long; a server that never says that it has changed is no staler than that."""


class Mounted:
    """An SDK server as a node hosts it.

    Args:
        low: the low-level server.
        owner: the object that it belongs to, kept alive: FastMCP's low-level server knows it weakly.
        look_again_s: how often what it lists is looked at without being told.
    """

    def __init__(self, low: LowLevel[Any], owner: object, look_again_s: float = _LOOK_AGAIN_S) -> None:
        self._low = low
        self._owner = owner
        self._look_again_s = look_again_s
        self._state: Any = None
        self._server: Server | None = None
        self._shelf: Shelf | None = None
        self._due = asyncio.Event()
        self._inside = Inside(low.name)

    @asynccontextmanager
    async def lifespan(self, server: Server) -> AsyncIterator[Any]:
        """The server's own lifespan; within it, `server` offers what it lists."""
        tasks = TaskSet(f"mounted {server.name}")
        async with self._low.lifespan(self._low) as self._state:
            self._server, self._shelf = server, Shelf(server, self.handle)
            if self._low.get_request_handler(_COMPLETE) is not None:
                server.set_raw_completion(self.handle)
            if self._low.get_request_handler(_READ) is not None:
                server.set_raw_reader(self.handle)
            await self._look()
            bus = bus_of(self._low)
            unsubscribe = bus.subscribe(self._published) if bus is not None else None
            tasks.start(self._keep_looking(), name="listings")
            try:
                yield self._state
            finally:
                if unsubscribe is not None:
                    unsubscribe()
                await tasks.close()
                await self._inside.close()

    async def handle(self, request: RawRequest) -> bytes:
        """Serve one request.

        Raises:
            ProtocolError: it ended in a JSON-RPC error.
        """
        try:
            return await self._handle(request)
        except ProtocolError as error:
            raise mesh_error(error) from None

    async def _handle(self, request: RawRequest) -> bytes:
        params = msgspec.json.decode(request.params)
        if str(params.get("requestState")).startswith(PREFIX):  # it is ours, and no handler's
            params = {key: value for key, value in params.items() if key not in ROUND}
        meta = params["_meta"]
        able = any(meta[_CAPABILITIES].get(ability) is not None for ability in _ABILITIES)
        if able and request.method in _MAY_ASK:
            run = partial(self._answer, request.method, params)
            return await self._inside.serve(request, run, self._told)
        context = request.context
        exchange = Exchange(self._told, context, context.request_id, meta.get("progressToken"))
        return await self._answer(request.method, params, exchange)

    async def _answer(self, method: str, params: Mapping[str, Any], exchange: Exchange) -> bytes:
        """The result of one request, as JSON; what it raises is for the caller."""
        try:
            return encode(await self._serve(method, params, exchange))
        except asyncio.CancelledError:
            exchange.cancel_requested.set()
            raise
        except MCPError as error:
            raise ProtocolError(error.error.code, error.error.message, error.error.data) from None
        except ValidationError:  # of the params; the SDK's own words for it
            raise ProtocolError(codes.INVALID_PARAMS, "Invalid request parameters") from None
        except ProtocolError:
            raise
        except NotFinite as error:
            text = f"the result cannot be written as JSON: {error}"
            raise ProtocolError(codes.INTERNAL_ERROR, text, {"reason": "bad_result"}) from None
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is an answer, without its internals
            reference = secrets.token_hex(4)
            fields = {"method": method, "reference": reference}
            _log.error("mounted.failed", extra={"event_fields": fields}, exc_info=error)
            raise ProtocolError(
                codes.INTERNAL_ERROR, f"Internal error; the log has it as {reference}"
            ) from None

    async def _serve(self, method: str, params: Mapping[str, Any], exchange: Exchange) -> dict[str, Any]:
        meta = params["_meta"]
        shown_era.set(meta.get(ERA_KEY))
        connection = Connection.from_envelope(
            meta[_VERSION], meta.get(_INFO), meta[_CAPABILITIES], outbound=Outside(self._told)
        )
        return await serve_one(
            self._low, exchange, method, params, connection=connection, lifespan_state=self._state
        )

    # What it offers

    async def _keep_looking(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_again_s):
                    await self._due.wait()
            self._due.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - its listing is user code; what is offered stays as it is
                event(_log, "listing.failed", logging.WARNING, server=self._name, reason=repr(error))

    async def _look(self) -> None:
        """Offer what is listed now."""
        assert self._shelf is not None
        for listing in LISTINGS:
            if self._low.get_request_handler(listing.method) is not None:
                self._shelf.put(listing.kind, await self._list(listing))

    async def _list(self, listing: Listing) -> list[Definition]:
        found: list[Definition] = []
        params: dict[str, Any] = {"_meta": _ENVELOPE}
        for _ in range(_MAX_PAGES):
            page = await self._serve(listing.method, params, Exchange(self._told))
            found += page[listing.member]
            if page.get("nextCursor") is None:
                return found
            params = {"_meta": _ENVELOPE, "cursor": page["nextCursor"]}
        raise LongreachError(f"{listing.method} of {self._name} has more than {_MAX_PAGES} pages")

    # What it says of itself

    def _published(self, change: ServerEvent) -> None:
        if isinstance(change, ResourceUpdated):
            self._updated(change.uri)
        else:
            self._due.set()

    def _told(self, method: str, params: Mapping[str, Any]) -> None:
        if method == "notifications/resources/updated":
            self._updated(str(params.get("uri", "")))
        elif method.endswith("/list_changed"):
            self._due.set()

    def _updated(self, uri: str) -> None:
        if self._server is not None:
            self._server.notify_resource_updated(uri)

    @property
    def _name(self) -> str:
        return self._low.name
