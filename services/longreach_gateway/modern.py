"""MCP 2026-07-28 over HTTP: one POST is one request, answered by a JSON body or by a stream of events.

The lean path: a body is read once, as far as its checks and its route need it, and goes to the mesh as it
came; the response's bytes go to the client as the node wrote them.

Source: MCP 2026-07-28 basic/transports/streamable-http.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.wire import codes, jsonrpc
from longreach.wire.incoming import Incoming, decode_incoming
from longreach_gateway import media, mirrors, params
from longreach_gateway.answers import STATUS_OF, Refusal, Whole, send_json, send_whole

if TYPE_CHECKING:
    from longreach.front.front import Front
    from longreach_gateway.auth.claims import UserClaims
    from longreach_gateway.limits import Limits
    from longreach_gateway.running import Overseer, Running

_UNSET = msgspec.UNSET
_LISTEN = "subscriptions/listen"
_CALL = "tools/call"
_JSON = b"application/json"
_BOTH = b"application/json, text/event-stream"
_VERSION = codes.PROTOCOL_VERSION
_VERSION_HEADER = _VERSION.encode()
_MAX_SCHEMAS = 20_000

Headers = Mapping[bytes, bytes]


class Modern:
    """Answers requests of the modern era.

    Args:
        overseer: looks after calls that take their time.
        limits: of how many there may be.
        timeout_s: of calls; None: the tool's own.
    """

    def __init__(self, overseer: Overseer, limits: Limits, timeout_s: float | None) -> None:
        self._overseer = overseer
        self._limits = limits
        self._timeout_s = timeout_s
        self._mirrors: dict[int, tuple[Any, tuple[params.Mirror, ...]]] = {}

    async def __call__(
        self,
        running: Running,
        front: Front,
        headers: Headers,
        pairs: list[tuple[bytes, bytes]],
        body: bytes,
        caller: str | None,
        claims: UserClaims | None = None,
    ) -> None:
        """Answer one POST.

        Args:
            running: the exchange.
            front: what is offered where it was posted to.
            headers: by lower-case name, the last one of each.
            pairs: all of them.
            body: the whole body.
            caller: the principal, if there is one.
            claims: what nodes are told of it.

        Raises:
            Refusal: it is not carried out.
        """
        if headers.get(b"content-type") != _JSON or headers.get(b"accept") != _BOTH:
            _check_media(headers)
        try:
            request = decode_incoming(body)
        except jsonrpc.Malformed as error:
            whole = _without_id(body, headers, error)
            if running.entry is not None:
                running.entry.refused(whole.status)
            await send_whole(running.send, whole)
            return
        if running.entry is not None:
            running.entry.asks(request)
        if not (len(pairs) == len(headers) and _is_plain(request, headers)):
            _check_closely(request, headers, pairs)
        if request.method == _CALL and request.name is not None:
            wanted = self._mirrors_of(front, request.name)
            if wanted is None:
                await front.learn()
                wanted = self._mirrors_of(front, request.name)
            if wanted:
                _check_arguments(wanted, request, headers)
        self._limits.enter(caller, request.id)
        try:
            if request.method == _LISTEN:
                await self._listen(running, front, request, caller)
            else:
                await self._call(running, front, request, caller, claims)
        finally:
            self._limits.leave(caller)

    async def _call(
        self,
        running: Running,
        front: Front,
        request: Incoming,
        caller: str | None,
        claims: UserClaims | None,
    ) -> None:
        answer = await front.handle(
            request, caller=caller, on_note=running.note, timeout_s=self._timeout_s, claims=claims
        )
        self._overseer.end(running)
        streams = running.stream is not None
        status = 200 if streams or answer.code is None else STATUS_OF.get(answer.code, 200)
        if running.entry is not None:
            running.entry.answered(status, answer.data, answer.code)
        if running.stream is not None:
            await running.stream.finish(answer.data)
        else:
            await send_json(running.send, status, answer.data)

    async def _listen(self, running: Running, front: Front, request: Incoming, caller: str | None) -> None:
        self._limits.listen(len(self._overseer.listening), request.id)
        self._overseer.listens(running)
        stream = running.open_stream()
        async with aclosing(front.listen(request, caller=caller)) as messages:
            async for data in messages:
                await stream.write(data)
        self._overseer.end(running)
        if running.entry is not None:
            running.entry.answered(200, b"", None)
        await stream.finish(None)

    def _mirrors_of(self, front: Front, name: str) -> tuple[params.Mirror, ...] | None:
        """The headers that a tool's schema asks for, worked out once for each; None for an unknown tool."""
        schema = front.tool_schema(name)
        if schema is None:
            return None
        known = self._mirrors.get(id(schema))
        if known is not None and known[0] is schema:
            return known[1]
        if len(self._mirrors) >= _MAX_SCHEMAS:
            self._mirrors.clear()
        found = params.mirrors_of(schema)
        self._mirrors[id(schema)] = (schema, found)
        return found


def _check_media(headers: Headers) -> None:
    if not media.is_json(headers.get(b"content-type", b"")):
        raise Refusal(415, codes.INVALID_REQUEST, "the body must be application/json: say so in Content-Type")
    accept = headers.get(b"accept", b"")
    if not (media.accepts(accept, media.JSON) and media.accepts(accept, media.EVENTS)):
        text = "the answer may be application/json or text/event-stream: list both in Accept"
        raise Refusal(406, codes.INVALID_REQUEST, text)


def _is_plain(request: Incoming, headers: Headers) -> bool:
    """Whether all is well, as far as a few comparisons can tell; nearly always they can."""
    meta, name = request.meta, request.name
    if (
        meta is _UNSET
        or meta.protocol_version != _VERSION
        or meta.client_capabilities is _UNSET
        or headers.get(mirrors.VERSION) != _VERSION_HEADER
        or headers.get(mirrors.METHOD) != request.method.encode()
    ):
        return False
    if request.method not in mirrors.NAMED:
        return True
    return (
        name is not None
        and headers.get(mirrors.NAME) == name.encode()
        and name.isascii()
        and not name.startswith("=?")
    )


def _check_closely(request: Incoming, headers: Headers, pairs: list[tuple[bytes, bytes]]) -> None:
    """The same without haste: what is wrong, and in which order it is said."""
    meta = request.meta
    wrong = jsonrpc.validate_meta(meta)
    if wrong is None or wrong.code == codes.UNSUPPORTED_VERSION:
        assert meta is not _UNSET, "it was found to be there"
        twice = mirrors.find_duplicate(pairs)
        if twice is not None:
            raise _mismatch(f"the header {twice} is there more than once", request)
        mismatch = mirrors.find_mismatch(headers, request, meta.protocol_version)
        if mismatch is not None:
            raise _mismatch(mismatch, request)
    if wrong is not None:
        raise Refusal(400, wrong.code, wrong.message, wrong.data, request_id=request.id)


def _check_arguments(wanted: tuple[params.Mirror, ...], request: Incoming, headers: Headers) -> None:
    try:
        arguments = msgspec.json.decode(request.params, type=dict[str, Any]).get("arguments")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # whoever reads the arguments says what is wrong with them
    problem = params.find_mismatch(wanted, arguments, headers)
    if problem is not None:
        raise _mismatch(problem, request)


def _mismatch(problem: str, request: Incoming) -> Refusal:
    return Refusal(400, codes.MISMATCH, problem, request_id=request.id)


def _without_id(body: bytes, headers: Headers, error: jsonrpc.Malformed) -> Whole:
    """The answer to what is no request: a notification is taken note of, anything else is refused."""
    if error.code == codes.INVALID_REQUEST and error.id is None and _is_notification(body):
        version = headers.get(mirrors.VERSION, b"").decode("latin-1").strip(" \t")
        if version == _VERSION:
            return Whole(202, headers=())
        data = {"supported": [_VERSION], "requested": version}
        text = f"this gateway speaks MCP {_VERSION} here"
        return Whole(400, jsonrpc.encode_error(None, codes.UNSUPPORTED_VERSION, text, data))
    return Whole(STATUS_OF[error.code], jsonrpc.encode_error(error.id, error.code, str(error)))


def _is_notification(body: bytes) -> bool:
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        jsonrpc.decode_notification(body)
    except (jsonrpc.Malformed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return "id" not in members
