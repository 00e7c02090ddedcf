"""Being told of changes: lists of servers, by the catalog, and resources, by the events of their nodes."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from longreach.client.info import Update
from longreach.errors import BrokerUnavailable, ConfigError
from longreach.policy.changes import LIST_KINDS, ListChanges, ListKind

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from longreach.client.session import Session
    from longreach.policy.catalog import Catalog

MAX_UNREAD = 1000
_FENCE_S = 2.0


class _Feed:
    """What was noticed and not read yet. It knows nothing of who reads it, so that that can be dropped.

    A lost connection costs nothing: lists are compared with those before it, and each resource counts as
    updated when the connection is back.
    """

    def __init__(self, changes: ListChanges) -> None:
        self.unread: deque[Update] = deque()
        self.is_closed = False
        self._changes = changes
        self._has_begun = False
        self._news = asyncio.Event()
        self._stops: list[Callable[[], None]] = []

    def open(self, session: Session, server: str | None, uris: Collection[str]) -> None:
        """Hear of changes from now on."""
        self._stops += [
            session.discovery.on_change(self._catalog_changed),
            session.on_close(self.close),
        ]
        for uri in uris:
            assert server is not None
            update = Update("resource", server, uri)
            self._stops.append(session.on_updated(server, uri, partial(self._put, update)))

    def begin(self, catalog: Catalog) -> None:
        """Compare with `catalog` from now on."""
        self._changes.update(catalog)
        self._has_begun = True

    def close(self) -> None:
        """Hear no more."""
        self.is_closed = True
        self._news.set()
        for stop in self._stops:
            stop()
        self._stops.clear()

    async def wait(self) -> None:
        """Until there is something to read, or it is closed."""
        self._news.clear()
        if not self.unread and not self.is_closed:
            await self._news.wait()

    def _catalog_changed(self, _: Catalog, after: Catalog) -> None:
        if self._has_begun:
            for change in self._changes.update(after):
                self._put(Update(change.kind, change.server))

    def _put(self, update: Update) -> None:
        if len(self.unread) >= MAX_UNREAD:
            self.unread.clear()
            update = Update("resync")
        self.unread.append(update)
        self._news.set()


class Listening:
    """Changes as they are noticed: an asynchronous iterator, and a context manager that says when it hears.

    It ends, and leaves no subscription, when it is closed, when the mesh is, and when nobody holds it.

    Args:
        session: the connection.
        learn: fetches what the servers offer.
        server: the server; None: all of them.
        lists: the lists whose changes are told.
        resources: the URIs of the server's resources whose updates are told.

    Raises:
        ConfigError: a list is none, or there are resources and no server.
    """

    def __init__(
        self,
        session: Session,
        learn: Callable[[str | None], Awaitable[Catalog]],
        server: str | None,
        lists: Collection[ListKind],
        resources: Collection[str],
    ) -> None:
        if not set(lists) <= set(LIST_KINDS):
            raise ConfigError(f"lists are some of {', '.join(LIST_KINDS)}, not {', '.join(lists)}")
        if resources and server is None:
            raise ConfigError("whose resources? Name the server: mesh.listen('docs', resources=[...])")
        if session.is_closed:
            raise BrokerUnavailable("the mesh is closed", retryable=False)
        self._session = session
        self._learn = partial(learn, server)
        self._has_begun = False
        self._feed = feed = _Feed(ListChanges(None if server is None else {server}, tuple(lists)))
        feed.open(session, server, tuple(dict.fromkeys(resources)))
        # Whoever drops it may be the garbage collector, in any thread.
        self._drop = weakref.finalize(self, _close_soon, asyncio.get_running_loop(), feed)
        self._drop.atexit = False

    async def start(self) -> None:
        """Return when everything that happens from now on is told.

        Raises:
            BrokerUnavailable: there is no connection.
        """
        if not self._has_begun and not self._feed.is_closed:
            self._feed.begin(await self._learn())
            with contextlib.suppress(BrokerUnavailable):  # then it is told when the link is back
                await self._session.link.fence(_FENCE_S)
            self._has_begun = True

    async def aclose(self) -> None:
        """Hear no more; whoever waits for the next change is told that there is none."""
        self._drop.detach()
        self._feed.close()

    def __aiter__(self) -> Listening:
        return self

    async def __anext__(self) -> Update:
        await self.start()
        while not self._feed.unread:
            if self._feed.is_closed:
                raise StopAsyncIteration
            await self._feed.wait()
        return self._feed.unread.popleft()

    async def __aenter__(self) -> Listening:
        try:
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _close_soon(loop: asyncio.AbstractEventLoop, feed: _Feed) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed, and so is the link
        loop.call_soon_threadsafe(feed.close)
