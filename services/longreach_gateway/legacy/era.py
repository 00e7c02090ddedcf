"""`LegacyEra`: MCP 2025-11-25 and older over HTTP, on the same endpoint as the modern era.

A session lives in one gateway process, and its id names that process. Whichever gateway a request reaches, it
is answered by that one: another forwards the whole exchange to it over NATS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.tasks import TaskSet
from longreach.wire import codes
from longreach.wire.incoming import decode_incoming
from longreach.wire.jsonrpc import Malformed
from longreach_gateway.answers import Refusal, send_refusal, too_busy
from longreach_gateway.legacy import eras
from longreach_gateway.legacy.exchange import SESSION_HEADER, VERSION_HEADER, Exchange, check_message
from longreach_gateway.legacy.ids import address_of, new_address
from longreach_gateway.legacy.limits import LIMITS, Limits
from longreach_gateway.legacy.relay.channel import Channel
from longreach_gateway.legacy.relay.forwarding import Forwarder, gone
from longreach_gateway.legacy.relay.hosting import Host
from longreach_gateway.legacy.sessions import Sessions

if TYPE_CHECKING:
    from longreach.client.view import Place
    from longreach_gateway.answers import Receive, Scope, Send
    from longreach_gateway.audit import Audit
    from longreach_gateway.auth.claims import ClaimsSigner
    from longreach_gateway.auth.principal import Principal
    from longreach_gateway.legacy.face import Face

_HOME = "local"
"""The region of a gateway that was told none; nodes call theirs so, too."""
_ALLOW = ((b"allow", b"POST"),)


class LegacyEra:
    """Answers the requests of clients that begin with initialize.

    Args:
        find: the front behind a path and a query; raises Refusal where there is none.
        gateway_id: this gateway's name in the mesh. Processes may share it.
        place: the mesh's connection, over which gateways reach each other's sessions.
        max_body: bytes of a request's body.
        limits: of clients and sessions.
        name: what the server is called where the mesh does not say.
        clock: the time.
        signer: signs what nodes are told of users; None: they are told nothing.
        audit: tells of requests; None: nobody does.
    """

    def __init__(
        self,
        find: Callable[[str, bytes], Face],
        gateway_id: str,
        place: Place,
        *,
        max_body: int = 4 * 1024 * 1024,
        limits: Limits = LIMITS,
        name: str = "longreach",
        clock: Clock = SYSTEM_CLOCK,
        signer: ClaimsSigner | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._find = find
        self.address = new_address(gateway_id, place.region or _HOME)
        self.sessions = Sessions(self.address, limits, name=name, clock=clock, signer=signer, audit=audit)
        self._channel = Channel(place, self.address)
        self.host = Host(self._channel, self._answer_another, max_body=max_body, clock=clock)
        self.forwarder = Forwarder(self._channel, clock=clock)
        self._opened = False
        self._tasks = TaskSet("legacy era")
        self._cut = asyncio.Event()
        self._closing = asyncio.Lock()
        self._closed = False
        self._ended = False

    def open(self) -> None:
        """Hear other gateways, and look after sessions, from now on. Called once, within the event loop."""
        self._opened = True
        self._channel.open()
        self.host.open()
        self.forwarder.open()
        self.sessions.start()

    async def close(self, timeout_s: float = 0.0) -> None:
        """Let what is being answered end, at most for `timeout_s` or until `cut`; then end all sessions."""
        async with self._closing:
            if self._closed:
                return
            self._closed = True
            quiet = self._tasks.spawn(self.sessions.quiet(), name="quiet")
            cut = self._tasks.spawn(self._cut.wait(), name="cut")
            _ = await asyncio.wait((quiet, cut), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            await self._tasks.close()
            await self.forwarder.close()
            await self.sessions.close()
            await self.host.close()
            self._channel.close()
            self._ended = True

    def cut(self) -> None:
        """Wait for nothing any more: `close` ends at once."""
        self._cut.set()

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
        """Answer one exchange.

        Args:
            scope: of ASGI.
            receive: tells when the client goes away; the body was read from it.
            send: of ASGI.
            body: the whole of it; None where there is none.
            server: the server it is about; None: the mesh.
            caller: the principal, or None.
            principal: the same, with what is known of it.

        Raises:
            Refusal: it is not answered, and nothing was sent.
        """
        if self._ended:
            raise Refusal(503, codes.INTERNAL_ERROR, "the gateway has stopped; ask another one", close=True)
        if not self._opened:
            self.open()
        exchange = Exchange(scope, receive, send, body, server, caller, principal)
        _check_version(exchange.header(VERSION_HEADER))
        session_id = exchange.header(SESSION_HEADER)
        if session_id is None:
            await self._without_session(exchange)
            return
        owner = address_of(session_id)
        if owner is None or not self._channel.reaches(owner):
            raise gone()
        if owner == self.address:
            await self._in_session(exchange)
        else:
            await self.forwarder.forward(owner, exchange)

    async def _answer_another(self, exchange: Exchange) -> None:
        """Answer an exchange that another gateway forwarded."""
        try:
            await self._in_session(exchange)
        except Refusal as refusal:
            await send_refusal(exchange.send, refusal)

    async def _in_session(self, exchange: Exchange) -> None:
        session_id = exchange.header(SESSION_HEADER) or ""
        session = self.sessions.find(session_id, exchange.caller, exchange.server)
        if session is None:
            raise gone()
        if exchange.body is not None:
            check_message(exchange.body)
        await self.sessions.serve(session, exchange)

    async def _without_session(self, exchange: Exchange) -> None:
        if exchange.body is None:
            if exchange.header(VERSION_HEADER) is not None:
                raise Refusal(400, codes.INVALID_REQUEST, "the header Mcp-Session-Id is missing")
            text = "a stream needs a session, which begins with initialize"
            raise Refusal(405, codes.INVALID_REQUEST, text, headers=_ALLOW)
        if not _is_initialize(exchange.body):
            text = "the header Mcp-Session-Id is missing: a session begins with initialize"
            raise Refusal(400, codes.INVALID_REQUEST, text)
        face = self._find(exchange.scope["path"], exchange.scope["query_string"])
        session = await self.sessions.open(face, exchange.caller, exchange.server)
        if session is None:
            raise too_busy(503, "there are as many sessions as there may be; try again later")
        await self.sessions.serve(session, exchange)


def _check_version(version: str | None) -> None:
    if version is None or version in eras.VERSIONS:
        return
    supported = [codes.PROTOCOL_VERSION, *eras.VERSIONS]
    text = f"MCP-Protocol-Version must be one of {', '.join(supported)}"
    raise Refusal(400, codes.INVALID_REQUEST, text, {"supported": supported})


def _is_initialize(body: bytes) -> bool:
    """Whether a body begins a session; one that is malformed is left to the session to refuse."""
    try:
        return decode_incoming(body).method == "initialize"
    except Malformed as error:
        raise Refusal(400, error.code, str(error), request_id=error.id) from None
