"""`Front`: the mesh, or one of its servers, as one MCP server that speaks 2026-07-28."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from longreach import __version__
from longreach.errors import LongreachError, NotFound
from longreach.front import lists, rewriting, toolsearch
from longreach.front.addressing import Address, find_completed, find_named, find_resource
from longreach.front.book import Book
from longreach.front.endings import Answer, Refused, failure, received, refusal, refusal_of, result
from longreach.front.eras import unknown_method
from longreach.front.filters import EVERYTHING, Filters
from longreach.front.hub import Hub
from longreach.front.naming import CALL_TOOL, SEARCH_TOOLS
from longreach.front.offering import Offering
from longreach.front.paging import page_start
from longreach.front.personal import Claims, Personal, Who
from longreach.front.shelf import Item, Kind
from longreach.front.source import OnNote, Source
from longreach.wire import codes
from longreach.wire.incoming import Incoming
from longreach.wire.jsonrpc import Malformed, decode_with, validate_meta

_log = logging.getLogger("longreach.front")
LISTEN = "subscriptions/listen"
_STATE_MARK = "lr~"
"""A request state that begins so goes back to the node named in it: ``lr~<identity>.<instance>~...``."""


class How(NamedTuple):
    """For whom a request is, who hears of its progress, and how long it may take."""

    caller: str | None
    on_note: OnNote | None
    timeout_s: float | None
    claims: Claims | None = None

    @property
    def who(self) -> Who:
        """Who asks."""
        return Who(self.caller, self.claims)


_Handler = Callable[[Incoming, How], Awaitable[Answer]]


class _CursorParams(msgspec.Struct):
    cursor: str | None = None


class _CursorRequest(msgspec.Struct):
    params: _CursorParams


_cursor_decoder = msgspec.json.Decoder(_CursorRequest)


class Front:
    """The mesh as one MCP server: every method of 2026-07-28, for whatever carries its messages.

    With `server`, one server under its own names, whose requests and results pass untouched; without, all
    servers under names and URIs of the whole mesh (`longreach.front.naming`). Listings are made from the
    definitions' own bytes. A server that is broken or slow never empties a listing, nor fails it.

    Args:
        mesh: a `longreach.Mesh`; the front never closes it.
        server: one server; None: all that `filters` let through.
        filters: what may be seen and called.
        search_above: with more tools than this, tools/list offers two in their place, which search and call.
            None: never.
        name: who answers for the whole mesh, in `serverInfo`.
        version: its version.
    """

    def __init__(
        self,
        mesh: Source,
        *,
        server: str | None = None,
        filters: Filters = EVERYTHING,
        search_above: int | None = None,
        name: str = "longreach",
        version: str = __version__,
    ) -> None:
        if filters.regions is not None:
            mesh = mesh.options(residency=sorted(filters.regions))
        self.server = server
        self.filters = filters
        self._mesh = mesh
        self._search_above = search_above
        self._name = name
        self._version = version
        self._book = Book(mesh, filters, server)
        self._search = toolsearch.ToolSearch()
        self._personal = Personal(mesh)
        self._hub = Hub(mesh, self._book, self.visible, filters, server)
        self._methods: dict[str, _Handler] = {
            "tools/call": self._call_tool,
            "prompts/get": self._get_prompt,
            "resources/read": self._read_resource,
            "completion/complete": self._complete,
            "server/discover": self._discover,
            **dict.fromkeys(lists.LISTS, self._list),
        }

    @property
    def is_there(self) -> bool:
        """Whether any node offers what this front is about, by what is known now."""
        return self._book.is_there

    @property
    def listeners(self) -> int:
        """How many listen just now."""
        return len(self._hub)

    async def handle(
        self,
        request: Incoming,
        *,
        caller: str | None = None,
        on_note: OnNote | None = None,
        timeout_s: float | None = None,
        claims: Claims | None = None,
    ) -> Answer:
        """Answer a request; of every method but subscriptions/listen.

        It raises nothing for what the request or the mesh does wrong: that is an answer, too. Cancelling the
        task cancels the call.

        Args:
            request: as it came.
            caller: who asks, as the mesh's permissions know it; None: whoever the mesh was opened for.
            on_note: called with each notification that belongs to the request, from within the event loop;
                it must not wait.
            timeout_s: the whole request; None: the tool's own limit, or the mesh's.
            claims: what is known of the user, beside its name; None: nothing is sent on.
        """
        handler = self._methods.get(request.method)
        if handler is None:
            return refusal_of(request.id, unknown_method(request))
        problem = validate_meta(request.meta)
        if problem is not None:
            return refusal_of(request.id, problem)
        try:
            return await handler(request, How(caller, on_note, timeout_s, claims))
        except LongreachError as failed:
            return failure(request.id, failed, _asked_for(request))
        except Malformed as malformed:
            return refusal(request.id, malformed.code, str(malformed))
        except Refused as refused:
            return refusal(request.id, refused.code, str(refused), refused.data)
        except Exception:  # noqa: BLE001 - a request of a stranger ends, and ends nothing else
            _log.exception("request.failed")
            return refusal(request.id, codes.INTERNAL_ERROR, "internal error")

    def listen(self, request: Incoming, *, caller: str | None = None) -> AsyncGenerator[bytes, None]:
        """Answer subscriptions/listen: the acknowledgement, then notifications, as they come.

        All carry the subscription's id. List changes are told where what is offered has really changed. One
        who reads slowly gets each kind of change, and each resource, once. The response comes last, and only
        where the front ends it. Close the generator (`contextlib.aclosing`) to unsubscribe.

        Args:
            request: of subscriptions/listen.
            caller: who asks.
        """
        del caller  # the front hears events for all of its callers
        return self._hub.listen(request)

    async def learn(self) -> None:
        """Fetch what is announced and not known yet, as far as it can be had quickly."""
        with contextlib.suppress(LongreachError):
            _ = await self._book.learned()

    def tool_schema(self, name: str) -> dict[str, Any] | None:
        """The input schema of a tool by its offered name, for checks of headers; None if it is not known."""
        item = self._book.current().find("tools", name)
        return None if item is None else self._book.schema_of(item)

    def close(self) -> None:
        """End every listener with a response; requests are still answered."""
        self._hub.close()

    async def _call_tool(self, request: Incoming, how: How) -> Answer:
        name, offering = request.name, self._book.current()
        item = offering.by_name["tools"].get(name)  # type: ignore[arg-type] # None is no tool's name
        if item is None:
            return await self._call_other(request, how)
        data = request.data
        if self.server is None:
            data = rewriting.with_params(data, {"name": item.name})
        return await self._forward(item.server, item.name, data, request, how)

    async def _call_other(self, request: Incoming, how: How) -> Answer:
        """A call of no tool that is known now: of the search, or of what is still to be fetched."""
        offering = await self._book.learned()
        if request.name not in (SEARCH_TOOLS, CALL_TOOL) or not self._is_searching(offering):
            address = find_named(offering, "tools", request, self.server, self.filters)
            return await self._forward(*address, request, how)
        try:
            if request.name == SEARCH_TOOLS:
                seen = await self._seen(offering, how)
                return result(request.id, await self._search.search(offering, request.data, seen))
            item, data = toolsearch.find_called(offering, request.data)
        except toolsearch.BadArguments as error:
            return result(request.id, toolsearch.encode_text_result(str(error), is_error=True))
        return await self._forward(item.server, item.name, data, request, how)

    async def _get_prompt(self, request: Incoming, how: How) -> Answer:
        address = await self._locate(find_named, "prompts", request)
        return await self._forward(*address, request, how)

    async def _read_resource(self, request: Incoming, how: How) -> Answer:
        address = await self._locate(find_resource, request)
        return await self._forward(*address, request, how)

    async def _complete(self, request: Incoming, how: How) -> Answer:
        address = await self._locate(find_completed, request)
        shelf = self._book.current().shelves.get(address.server)
        if shelf is not None and not shelf.completions:
            return result(request.id, lists.NO_COMPLETION)
        return await self._forward(*address, request, how)

    async def _forward(
        self, server: str, name: str | None, data: bytes, request: Incoming, how: How
    ) -> Answer:
        state = request.request_state
        response = await self._mesh.forward(
            server,
            data,
            method=request.method,
            name=name,
            caller=how.caller,
            on_note=how.on_note,
            timeout_s=how.timeout_s,
            to_node=_node_of(state) if state is not None else None,
            headers=None if how.claims is None else partial(how.claims.headers, server),
        )
        if self.server is None:
            response = rewriting.with_offered_uris(response, server)
        return received(response)

    async def _list(self, request: Incoming, how: How) -> Answer:
        kind = lists.LISTS[request.method]
        cursor = decode_with(_cursor_decoder, request.data).params.cursor
        offering = await self._book.learned()
        if self.server is not None and not offering.shelves:
            raise NotFound("nothing to list", reason="not_fetched" if offering.unknown else "no_such_server")
        items = self.visible(offering, kind)
        if items is offering.lists[kind] and offering.cache_scope == "private":
            items = await self._personal.items(offering, kind, how.who)
            start = page_start(items, kind, cursor)
            page = lists.encode_page(offering, kind, items, start, self._info(offering))
            return result(request.id, page)
        start = page_start(items, kind, cursor)
        kept: bytes | None = self._book.kept((kind, start))
        if kept is None:
            kept = lists.encode_page(offering, kind, items, start, self._info(offering))
            self._book.keep((kind, start), kept)
        return result(request.id, kept)

    async def _discover(self, request: Incoming, how: How) -> Answer:
        del how
        try:
            offering = await self._book.learned()
        except LongreachError:  # who the front is, and that it is modern, does not depend on the mesh
            offering = self._book.current()
        page: bytes | None = self._book.kept("discover")
        if page is None:
            instructions = lists.instructions_of(offering, self.server)
            if self._is_searching(offering):
                instructions = toolsearch.instructions(offering, instructions)
            page = lists.encode_discover(offering, self._info(offering), instructions)
            self._book.keep("discover", page)
        return result(request.id, page)

    async def _seen(self, offering: Offering, how: How) -> Sequence[Item] | None:
        """The tools that a caller may see; None: all of them."""
        tools = await self._personal.items(offering, "tools", how.who)
        return None if tools is offering.lists["tools"] else tools

    def visible(self, offering: Offering, kind: Kind) -> Sequence[Item]:
        """What is listed of a kind: all that is offered, or the two tools that stand for too many."""
        return (
            toolsearch.OFFERED if kind == "tools" and self._is_searching(offering) else offering.lists[kind]
        )

    async def _locate(self, find: Callable[..., Address], *asked: Any) -> Address:
        """Where a request goes, by what is known; only for what is not known is anything fetched."""
        try:
            return find(self._book.current(), *asked, self.server, self.filters)
        except Refused:
            return find(await self._book.learned(), *asked, self.server, self.filters)

    def _info(self, offering: Offering) -> dict[str, str]:
        return lists.info_of(offering, self.server, self._name, self._version)

    def _is_searching(self, offering: Offering) -> bool:
        """Whether tools are searched for, not listed; never where a tool itself has one of the two names."""
        limit = self._search_above
        tools = offering.by_name["tools"]
        return limit is not None and len(tools) > limit and not ({SEARCH_TOOLS, CALL_TOOL} & tools.keys())


def _node_of(state: str) -> str | None:
    """The node that a request state must be taken back to; None: any node takes it."""
    if not state.startswith(_STATE_MARK):
        return None
    node, mark, _ = state[len(_STATE_MARK) :].partition("~")
    return node if mark and "." in node else None


def _asked_for(request: Incoming) -> str:
    """What was asked for, for the text of an error."""
    return request.method if request.name is None else f"{request.method} of {request.name[:200]!r}"
