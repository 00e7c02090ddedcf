"""The MCP methods that a node answers for a server as a whole: server/discover and the listings.

They need no actor: what they say is known to the node. They are addressed like tools, in the server's
queue group, with `_` as the name, so that a client of any language can list tools with one request.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from longreach.node.listings import page_of
from longreach.observe import event
from longreach.wire import codes, jsonrpc
from longreach.wire.mcp import (
    SERVER_INFO_KEY,
    DiscoverResult,
    ListCapability,
    ResourcesCapability,
    ServerCapabilities,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from longreach.actor.server import Server
    from longreach.actor.spec import HandlerSpec, OfferKind
    from longreach.node.replies import Replies, ReplyRoute
    from longreach.transport.link import Headers, Sink

_log = logging.getLogger("longreach.node.methods")
_PAGE_SHARE = 0.5
"""A page of a listing is at most this share of max_payload: its envelope and slow links want room."""


class Listed(NamedTuple):
    """What a list method lists, and the member of its result that has it."""

    kind: OfferKind
    member: str


LISTS: Mapping[str, Listed] = {
    "tools/list": Listed("tool", "tools"),
    "prompts/list": Listed("prompt", "prompts"),
    "resources/list": Listed("resource", "resources"),
    "resources/templates/list": Listed("template", "resourceTemplates"),
}


class _ListParams(msgspec.Struct):
    cursor: str | None = None
    meta: jsonrpc.RequestMeta | msgspec.UnsetType = msgspec.field(name="_meta", default=msgspec.UNSET)


class ServerMethods:
    """Answers the methods of one server.

    Args:
        server: whose methods.
        replies: builds reply subjects and sends.
        result_meta: the `_meta` of results, encoded.
        max_payload: asks the link for the broker's limit, in bytes.
        heard: told the scope of each request: a sign of life of its connection.
    """

    def __init__(
        self,
        server: Server,
        replies: Replies,
        result_meta: msgspec.Raw,
        max_payload: Callable[[], int],
        heard: Callable[[str], None],
    ) -> None:
        self._server = server
        self._replies = replies
        self._result_meta = result_meta
        self._max_payload = max_payload
        self._heard = heard
        self._methods: dict[str, Callable[[_ListParams], Any]] = {
            "server/discover": self._discover,
            **{method: partial(self._list, listed) for method, listed in LISTS.items()},
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The methods that are answered here."""
        return tuple(self._methods)

    def sink(self, method: str) -> Sink:
        """The sink for the subscription of one method."""

        def take(subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
            parts = subject.split(".", 10)
            route = self._replies.route(reply, parts[7], parts[8])
            if route is None:
                event(_log, "request.unanswerable", logging.WARNING, subject=subject)
                return
            self._heard(route.scope)
            try:
                request = jsonrpc.decode_request(data)
            except jsonrpc.Malformed as error:
                self._replies.refuse(route, jsonrpc.encode_error(error.id, error.code, str(error), None))
                return
            self._serve(route, method, request, (parts[7], parts[8]), headers)

        return take

    def _serve(
        self,
        route: ReplyRoute,
        method: str,
        request: jsonrpc.Request,
        asker: tuple[str, str],
        headers: Headers | None,
    ) -> None:
        """Answer a request of `asker`, via and caller."""
        self._replies.respond(route, request.id, self._answer(method, request))

    def unknown(self, subject: str, reply: str, data: bytes, _: Headers | None) -> None:
        """Refuse what is addressed to this very node, but does not exist on it."""
        parts = subject.split(".")
        route = self._replies.route(reply, parts[7], parts[8])
        if route is None:
            return
        try:
            request = jsonrpc.decode_request(data)
        except jsonrpc.Malformed as error:
            self._replies.refuse(route, jsonrpc.encode_error(error.id, error.code, str(error), None))
            return
        is_name = request.method in ("tools/call", "prompts/get")
        code = codes.INVALID_PARAMS if is_name else codes.METHOD_NOT_FOUND
        text = (
            f"{self._server.name} has nothing of that name on this node; `longreach ls` shows what there is"
        )
        self._replies.refuse(route, jsonrpc.encode_error(request.id, code, text, None))

    def _answer(self, method: str, request: jsonrpc.Request) -> bytes:
        if request.method != method:
            text = f"the subject says {method}, the body {request.method}"
            return jsonrpc.encode_error(request.id, codes.MISMATCH, text, None)
        return self._checked(request, self._methods[method])

    def _checked(self, request: jsonrpc.Request, answer: Callable[[_ListParams], Any]) -> bytes:
        """The response: what `answer` makes of the parameters, if they are in order."""
        try:
            params = msgspec.json.decode(request.params, type=_ListParams)
            problem = jsonrpc.validate_meta(params.meta)
            if problem is not None:
                return jsonrpc.encode_error(request.id, problem.code, problem.message, problem.data)
            return jsonrpc.encode_result(request.id, answer(params))
        except ValueError as error:  # of msgspec, and of UTF-8
            return jsonrpc.encode_error(request.id, codes.INVALID_PARAMS, str(error), None)

    def _discover(self, _: _ListParams) -> DiscoverResult:
        return DiscoverResult(
            supported_versions=[codes.PROTOCOL_VERSION],
            capabilities=capabilities_of(self._server),
            instructions=self._server.instructions or msgspec.UNSET,
            ttl_ms=round(self._server.list_ttl_s * 1000),
            cache_scope=self._server.cache_scope,
            meta=_with_title(self._result_meta, self._server.title),
        )

    def _list(self, listed: Listed, params: _ListParams) -> dict[str, Any]:
        return self._page(listed, params, tuple(self._server.offered(listed.kind).values()))

    def _page(self, listed: Listed, params: _ListParams, specs: Iterable[HandlerSpec]) -> dict[str, Any]:
        found = [spec.listed for spec in specs if spec.listed is not None]
        page = page_of(found, listed.kind, params.cursor, int(self._max_payload() * _PAGE_SHARE))
        result: dict[str, Any] = {listed.member: page.items}
        if page.next_cursor is not None:
            result["nextCursor"] = page.next_cursor
        return {
            **result,
            "ttlMs": round(self._server.list_ttl_s * 1000),
            "cacheScope": self._server.cache_scope,
            "_meta": self._result_meta,
            "resultType": "complete",
        }


def _with_title(result_meta: msgspec.Raw, title: str | None) -> Any:
    """`result_meta`, with what the server is called for people: said once, not in every result."""
    if title is None:
        return result_meta
    meta = msgspec.json.decode(result_meta)
    meta[SERVER_INFO_KEY]["title"] = title
    return meta


def capabilities_of(server: Server) -> ServerCapabilities:
    """What `server` can do now; every list of it may change, and changes are told."""
    told, has = ListCapability(list_changed=True), server.offered
    reads = has("resource") or has("template") or has("reader")
    return ServerCapabilities(
        tools=told if has("tool") else msgspec.UNSET,
        prompts=told if has("prompt") else msgspec.UNSET,
        resources=ResourcesCapability(subscribe=True, list_changed=True) if reads else msgspec.UNSET,
        completions={} if has("completion") else msgspec.UNSET,
        logging={},
    )
