"""Who listens for what, and who is told when it changes.

All listeners of a front share one watch on the catalog and one subscription for each resource that any of
them asked for; each is there only as long as somebody needs it. What is not read yet is kept as marks,
not messages: a kind of list, or a resource, is marked once however often it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from longreach.errors import LongreachError
from longreach.front.addressing import owned_uri
from longreach.front.endings import failure
from longreach.policy.limits import Buckets
from longreach.wire.incoming import Incoming
from longreach.wire.jsonrpc import Malformed, decode_with, encode_error, validate_meta

if TYPE_CHECKING:
    from longreach.front.book import Book
    from longreach.front.filters import Filters
    from longreach.front.offering import Offering
    from longreach.front.shelf import Item, Kind
    from longreach.front.source import Source, Stop
    from longreach.policy.catalog import Catalog

MAX_URIS = 1000
"""One listener may ask for so many resources; more are not acknowledged."""
_COMPARES_PER_S = 20
"""To compare lists costs what is in them: while thousands of servers come, that is done 20 times a second."""
_SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"

Visible = Callable[["Offering", "Kind"], Sequence["Item"]]
Owned = tuple[str, str]
"""A server, and its own URI of a resource."""


class _Wanted(msgspec.Struct, rename="camel", omit_defaults=True):
    """What is asked for, and what is honoured of it."""

    tools_list_changed: bool = False
    prompts_list_changed: bool = False
    resources_list_changed: bool = False
    resource_subscriptions: Annotated[list[str], Meta(max_length=100_000)] = []


class _ListenParams(msgspec.Struct):
    notifications: _Wanted


class _ListenRequest(msgspec.Struct):
    params: _ListenParams


_decoder = msgspec.json.Decoder(_ListenRequest)
_encode = msgspec.json.Encoder().encode

_TOOLS, _PROMPTS, _RESOURCES = (
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
)
_LISTED: dict[str, tuple[Kind, ...]] = {
    _TOOLS: ("tools",),
    _PROMPTS: ("prompts",),
    _RESOURCES: ("resources", "templates"),
}


class _Listener:
    """One subscription: what it is to be told, and has not read yet."""

    def __init__(self, request: Incoming, wanted: _Wanted, uris: dict[str, Owned]) -> None:
        self.meta = b'"_meta":{"%s":%s}' % (_SUBSCRIPTION_ID.encode(), _encode(request.id))
        self.request_id = _encode(request.id)
        self.wanted = wanted
        self.uris = uris
        self.methods = {
            method
            for method, is_wanted in (
                (_TOOLS, wanted.tools_list_changed),
                (_PROMPTS, wanted.prompts_list_changed),
                (_RESOURCES, wanted.resources_list_changed),
            )
            if is_wanted
        }
        self._marks: dict[tuple[str, str], None] = {}
        self._wake = asyncio.Event()
        self._ended = False

    def mark(self, method: str, uri: str = "") -> None:
        """Something has changed."""
        self._marks[method, uri] = None
        self._wake.set()

    def end(self) -> None:
        """Nothing more will change, as far as this front tells."""
        self._ended = True
        self._wake.set()

    async def next(self) -> bytes | None:
        """The next notification; None at the end."""
        while not self._marks:
            if self._ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        method, uri = next(iter(self._marks))
        del self._marks[method, uri]
        return self._notification(method, b"" if not uri else b',"uri":' + _encode(uri))

    def acknowledgement(self) -> bytes:
        """The first message: what of the request is honoured."""
        return self._notification(
            "notifications/subscriptions/acknowledged", b',"notifications":' + _encode(self.wanted)
        )

    def response(self) -> bytes:
        """The last message, where the front ends the subscription."""
        return b'{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete",%s}}' % (
            self.request_id,
            self.meta,
        )

    def _notification(self, method: str, members: bytes) -> bytes:
        return b'{"jsonrpc":"2.0","method":"%s","params":{%s%s}}' % (method.encode(), self.meta, members)


def _mark_updated(listeners: Mapping[_Listener, str]) -> None:
    for listener, uri in listeners.items():
        listener.mark("notifications/resources/updated", uri)


class Hub:
    """The listeners of one front.

    Args:
        source: the mesh.
        book: what is offered.
        visible: what of an offering is listed.
        filters: what may be seen.
        server: the one server; None: all.
    """

    def __init__(
        self, source: Source, book: Book, visible: Visible, filters: Filters, server: str | None
    ) -> None:
        self._source = source
        self._book = book
        self._visible = visible
        self._filters = filters
        self._server = server
        self._listeners: dict[_Listener, None] = {}
        self._watched: dict[Owned, tuple[dict[_Listener, str], Stop]] = {}
        self._stops: list[Stop] = []
        self._told: Offering | None = None
        self._compared = Buckets(_COMPARES_PER_S, _COMPARES_PER_S)
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._listeners)

    @property
    def watched(self) -> int:
        """How many resources are subscribed to."""
        return len(self._watched)

    async def listen(self, request: Incoming) -> AsyncGenerator[bytes, None]:
        """The messages of one subscription; closing the generator ends it."""
        problem = validate_meta(request.meta)
        if problem is not None:
            yield encode_error(request.id, problem.code, problem.message, problem.data)
            return
        try:
            asked = decode_with(_decoder, request.data).params.notifications
        except Malformed as malformed:
            yield encode_error(request.id, malformed.code, str(malformed))
            return
        with contextlib.suppress(
            LongreachError
        ):  # it outlives a broken link, and may begin while there is none
            _ = await self._book.learned()  # what was learned once is fetched anew whenever it changes
        listener = self._listener(request, asked)
        try:
            try:
                self._join(listener)
            except LongreachError as error:
                yield failure(request.id, error, request.method).data
                return
            yield listener.acknowledgement()
            while (note := await listener.next()) is not None:
                yield note
            yield listener.response()
        finally:
            self._leave(listener)

    def close(self) -> None:
        """End every subscription, and those that begin from now on; what has changed before is told."""
        if self._timer is not None:
            self._timer.cancel()
            self._compare()
        self._closed = True
        for listener in self._listeners:
            listener.end()

    def _listener(self, request: Incoming, asked: _Wanted) -> _Listener:
        """Who asks, with what of it can be honoured."""
        offering = self._book.current()
        uris: dict[str, Owned] = {}
        for uri in dict.fromkeys(asked.resource_subscriptions):
            owned = owned_uri(offering, uri, self._server, self._filters) if len(uris) < MAX_URIS else None
            if owned is not None:
                uris[uri] = owned
        honoured = msgspec.structs.replace(asked, resource_subscriptions=list(uris))
        return _Listener(request, honoured, uris)

    def _join(self, listener: _Listener) -> None:
        if self._closed:
            listener.end()
            return
        if not self._listeners:
            self._open()
        self._listeners[listener] = None
        for uri, owned in listener.uris.items():
            self._watch(owned)[listener] = uri

    def _leave(self, listener: _Listener) -> None:
        if self._listeners.pop(listener, self) is self:
            return
        for owned in listener.uris.values():
            watched = self._watched.get(owned)
            if watched is not None:  # else it could not be subscribed to
                watched[0].pop(listener, None)
                if not watched[0]:
                    del self._watched[owned]
                    watched[1]()
        if not self._listeners:
            self._shut()

    def _watch(self, owned: Owned) -> dict[_Listener, str]:
        """The listeners of a resource, which is subscribed to if it was not yet."""
        known = self._watched.get(owned)
        if known is not None:
            return known[0]
        listeners: dict[_Listener, str] = {}
        stop = self._source.on_updated(*owned, partial(_mark_updated, listeners))
        self._watched[owned] = (listeners, stop)
        return listeners

    def _open(self) -> None:
        self._told = self._book.current()
        self._stops = [self._source.on_catalog(self._catalog_changed), self._source.on_close(self.close)]

    def _shut(self) -> None:
        for stop in self._stops:
            stop()
        self._stops = []
        self._told = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _catalog_changed(self, _before: Catalog, _after: Catalog) -> None:
        """Compare at once; or, in a storm of changes, when it is its turn."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._compared.take("", loop.time())
        if wait_s > 0:
            self._timer = loop.call_later(wait_s, self._compare)
        else:
            self._compare()

    def _compare(self) -> None:
        self._timer = None
        before, after = self._told, self._book.current()
        if before is None or after is before:
            return
        self._told = after
        for method, kinds in _LISTED.items():
            if any(self._listed(before, kind) != self._listed(after, kind) for kind in kinds):
                for listener in self._listeners:
                    if method in listener.methods:
                        listener.mark(method)

    def _listed(self, offering: Offering, kind: Kind) -> list[tuple[str, str]]:
        return [(item.offered, item.digest) for item in self._visible(offering, kind)]
