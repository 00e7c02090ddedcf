"""The gateway as an ASGI application: who may ask, where, in which era, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

import msgspec

from longreach.front.endings import OUTCOME_UNKNOWN
from longreach.observe import event
from longreach.wire import codes
from longreach.wire.incoming import decode_incoming
from longreach.wire.jsonrpc import Malformed
from longreach_gateway import cors, mirrors
from longreach_gateway.answers import Refusal, Scope, send_refusal, send_whole
from longreach_gateway.auth.principal import Denied
from longreach_gateway.body import Disconnected, read_body
from longreach_gateway.doors import is_door, server_of

if TYPE_CHECKING:
    from longreach_gateway.answers import Receive, Send
    from longreach_gateway.audit import Audit
    from longreach_gateway.auth.authenticator import Authenticator
    from longreach_gateway.auth.claims import ClaimsSigner
    from longreach_gateway.auth.principal import Principal
    from longreach_gateway.doors import Doors
    from longreach_gateway.guard import Guard
    from longreach_gateway.limits import Limits
    from longreach_gateway.modern import Modern
    from longreach_gateway.running import Overseer, Running

_log = logging.getLogger("longreach.gateway")
_MODERN = codes.PROTOCOL_VERSION.encode()
_ALLOW = ((b"allow", b"POST"),)


class Legacy(Protocol):
    """The era of 2025: whoever answers what is not modern."""

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        body: bytes | None,
        server: str | None,
        caller: str | None,
        principal: Principal | None = None,
    ) -> None:
        """Answer a request whose `body` has been read, if it has one."""
        ...  # fmt: skip


class Rare(Protocol):
    """Whoever answers what is not MCP: health, metadata."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        ...


class Gateway:
    """The ASGI application.

    Args:
        guard: which hosts and origins may ask.
        auth: who may ask; None: everybody.
        doors: what is asked.
        modern: answers requests of the modern era.
        legacy: answers those of the era before; None: they are told that nobody does.
        rare: answers what is not MCP.
        overseer: looks after what takes its time.
        limits: of how much there may be.
        max_body: bytes of a request's body.
        signer: signs what nodes are told of users; None: they are told nothing.
        audit: tells of requests; None: nobody does.
    """

    def __init__(
        self,
        *,
        guard: Guard,
        auth: Authenticator | None,
        doors: Doors,
        modern: Modern,
        legacy: Legacy | None,
        rare: Rare,
        overseer: Overseer,
        limits: Limits,
        max_body: int,
        signer: ClaimsSigner | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._audit = audit
        self._signer = signer
        self._guard = guard
        self._auth = auth
        self._doors = doors
        self._modern = modern
        self._legacy = legacy
        self._rare = rare
        self._overseer = overseer
        self._limits = limits
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever it holds, it gets an answer, or its connection ends."""
        if scope["type"] != "http" or not is_door(scope["path"]):
            await self._rare(scope, receive, send)
            return
        running = self._overseer.begin(receive, send)
        if self._audit is None:
            await self._answer(scope, running)
            return
        entry = running.entry = self._audit.begin(scope)
        try:
            await self._answer(scope, running)
        finally:
            entry.end()

    async def _answer(self, scope: Scope, running: Running) -> None:
        try:
            await self._exchange(scope, running)
        except Refusal as refusal:
            self._overseer.end(running)
            if running.entry is not None:
                running.entry.refused(refusal.status)
            await send_refusal(running.send, refusal)
        except Disconnected:
            pass
        except asyncio.CancelledError:
            if running.cut is None:
                raise
            running.task.uncancel()
            await self._say_cut(running)
        except Exception as error:  # noqa: BLE001 - the boundary: the sender must not wait for ever
            event(_log, "request.failed", logging.ERROR, kind=type(error).__name__)
            _log.debug("request.failed", exc_info=error)
            if running.stream is None:
                text = "the gateway failed; its log says how"
                await send_refusal(running.send, Refusal(500, codes.INTERNAL_ERROR, text, close=True))
        finally:
            self._overseer.end(running)

    async def _exchange(self, scope: Scope, running: Running) -> None:
        self._limits.admit(len(self._overseer.running) - 1)
        pairs: list[tuple[bytes, bytes]] = scope["headers"]
        headers = dict(pairs)
        self._admit(running, headers)
        if cors.is_preflight(scope["method"], headers):
            if running.entry is not None:
                running.entry.silent = True
            await send_whole(running.send, cors.preflight(headers))
            return
        path = scope["path"]
        principal = None if self._auth is None else await self._principal(headers, path)
        if running.entry is not None and principal is not None:
            running.entry.by(principal.name)
        front = self._doors.known(path, scope["query_string"])
        if scope["method"] != "POST":
            await self._other_method(scope, running, headers, principal)
            return
        caller = None if principal is None else principal.name
        self._limits.begin_body(caller)
        try:
            body = await read_body(running.receive, headers, self._max_body)
        finally:
            self._limits.end_body(caller)
        running.reading = False
        if headers.get(mirrors.VERSION) != _MODERN and self._is_legacy(headers, body):
            await self._to_legacy(scope, running, body, principal)
            return
        if front is None:
            front = self._doors.find(path, scope["query_string"])
        claims = None if self._signer is None else self._signer.of(principal)
        await self._modern(running, front, headers, pairs, body, caller, claims)

    def _admit(self, running: Running, headers: dict[bytes, bytes]) -> None:
        if not self._guard.host_allowed(headers.get(b"host")):
            text = "the gateway is not known by this name; `--allowed-host` adds one"
            raise Refusal(421, codes.INVALID_REQUEST, text)
        origin = headers.get(b"origin")
        if origin is not None:
            if not self._guard.origin_allowed(origin):
                text = "pages of this origin may not ask; `--allowed-origin` adds one"
                raise Refusal(403, codes.INVALID_REQUEST, text)
            running.send = cors.readable_by(origin, running.send)

    async def _principal(self, headers: dict[bytes, bytes], path: str) -> Principal:
        assert self._auth is not None, "asked for only where there is one"
        shown = headers.get(b"authorization")
        principal = self._auth.known(shown)
        try:
            if principal is None:
                principal = await self._auth.check(shown)
            self._auth.allow(principal, path)
        except Denied as denied:
            told = self._auth.challenge(denied, path, had_token=shown is not None)
            raise Refusal(told.status, codes.INVALID_REQUEST, str(told), headers=told.headers) from None
        return principal

    async def _other_method(
        self, scope: Scope, running: Running, headers: dict[bytes, bytes], principal: Principal | None
    ) -> None:
        known = scope["method"] in ("GET", "DELETE") and headers.get(mirrors.VERSION) != _MODERN
        if known and self._legacy is not None:
            await self._to_legacy(scope, running, None, principal)
            return
        raise Refusal(405, codes.INVALID_REQUEST, "MCP is spoken by POST here", headers=_ALLOW)

    def _is_legacy(self, headers: dict[bytes, bytes], body: bytes) -> bool:
        """Whether a POST without the modern version is of the era before, and its body does not deny it."""
        version = headers.get(mirrors.VERSION, b"").strip(b" \t")
        if version == _MODERN:
            return False
        try:
            request = decode_incoming(body)
        except Malformed:
            return b"mcp-session-id" in headers or version.startswith((b"2024-", b"2025-"))
        if request.meta is not msgspec.UNSET and request.meta.protocol_version is not msgspec.UNSET:
            return False
        return (
            b"mcp-session-id" in headers
            or version.startswith((b"2024-", b"2025-"))
            or request.method == "initialize"
        )

    async def _to_legacy(
        self, scope: Scope, running: Running, body: bytes | None, principal: Principal | None
    ) -> None:
        if self._legacy is None:
            data = {"supported": [codes.PROTOCOL_VERSION]}
            text = f"this gateway speaks MCP {codes.PROTOCOL_VERSION} only"
            raise Refusal(400, codes.UNSUPPORTED_VERSION, text, data)
        self._overseer.end(running)  # it has streams that last, and looks after them itself
        server = server_of(scope["path"])
        caller = None if principal is None else principal.name
        await self._legacy(
            scope, running.receive, running.send,
            body=body, server=server, caller=caller, principal=principal,
        )  # fmt: skip
        if running.entry is not None:
            running.entry.silent = True  # its messages are told one by one

    async def _say_cut(self, running: Running) -> None:
        """The last word to a client whose exchange was cut off, where there is one to say."""
        self._overseer.end(running)
        if running.cut == "slow":
            refusal = Refusal(408, codes.INVALID_REQUEST, "the body did not come in time", close=True)
        elif running.cut == "stopped":
            text = "the gateway stops; the call was cancelled, and may have run"
            refusal = Refusal(503, OUTCOME_UNKNOWN, text, {"delivered": "unknown"}, close=True)
        else:
            return
        if running.stream is None:
            await send_refusal(running.send, refusal)
        else:
            await running.stream.finish(refusal.body)
