"""`View`: what a connection knows of the mesh. Listings, changes, and what a gateway hears of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from longreach.client.attempt import as_it_is, pass_answer
from longreach.client.listed import Info, seen_of
from longreach.client.planner import Planner
from longreach.client.results import BAD_JSON
from longreach.client.views import (
    diff,
    list_nodes,
    list_prompts,
    list_resources,
    list_servers,
    list_templates,
    list_tools,
)
from longreach.errors import NotFound, RemoteError

if TYPE_CHECKING:
    from longreach.client.info import (
        Change,
        NodeInfo,
        PromptInfo,
        ResourceInfo,
        ServerInfo,
        TemplateInfo,
        ToolInfo,
    )
    from longreach.client.options import CallOptions
    from longreach.client.plan import CallStats
    from longreach.client.session import Session
    from longreach.policy.catalog import Catalog
    from longreach.transport.link import Link

_WATCH_QUEUE = 1000


class Place(NamedTuple):
    """Where a connection is, for what shares it: gateways speak to each other over theirs.

    Attributes:
        link: the connection; its mesh closes it.
        namespace: the namespace's token.
        region: the home region; None: none was named.
        residency: the only regions that may be used; None: any.
    """

    link: Link
    namespace: str
    region: str | None
    residency: frozenset[str] | None


class View:
    """What one connection knows of the mesh."""

    def __init__(self, session: Session, options: CallOptions) -> None:
        self._session = session
        self._options = options
        self._planner = Planner(session, options)

    @property
    def url(self) -> str | None:
        """The broker this mesh is connected to, without credentials; None while it is connected to none."""
        return self._session.link.url

    @property
    def is_up(self) -> bool:
        """Whether there is a connection now."""
        return self._session.link.is_up

    @property
    def place(self) -> Place:
        """Where this connection is."""
        session, options = self._session, self._options
        return Place(session.link, session.namespace, options.region, session.residency)

    @property
    def stats(self) -> CallStats:
        """Counts of calls, attempts and retries of this connection so far."""
        return self._session.stats

    @property
    def catalog(self) -> Catalog:
        """What the mesh offers, as far as it is known: an immutable value with a revision."""
        return self._session.discovery.catalog

    async def tools(self, server: str | None = None) -> list[ToolInfo]:
        """All tools, or those of one server, sorted by name; fetches what is not known yet.

        Of a server whose listings are private, those that this caller may use: one of its nodes is asked. A
        server that does not answer is left out, unless it is the one that was asked for.
        """
        return await self._mine("tools/list", list_tools(await self._known(server), server), server)

    async def prompts(self, server: str | None = None) -> list[PromptInfo]:
        """All prompts, or those of one server, sorted by name; see `tools`."""
        return await self._mine("prompts/list", list_prompts(await self._known(server), server), server)

    async def resources(self, server: str | None = None) -> list[ResourceInfo]:
        """All resources that have one URI, or those of one server, sorted by URI; see `tools`."""
        found = list_resources(await self._known(server), server)
        return await self._mine("resources/list", found, server)

    async def templates(self, server: str | None = None) -> list[TemplateInfo]:
        """All resource templates, or those of one server, sorted by template; see `tools`."""
        found = list_templates(await self._known(server), server)
        return await self._mine("resources/templates/list", found, server)

    async def servers(self) -> list[ServerInfo]:
        """All servers, sorted by name."""
        return list_servers(await self._known(None))

    async def nodes(self) -> list[NodeInfo]:
        """All nodes, sorted by name."""
        await self._seen()
        discovery = self._session.discovery
        return list_nodes(discovery.catalog, discovery.hearing, self._session.clock.monotonic())

    async def refresh(self, timeout_s: float = 0.5) -> None:
        """Ask all nodes who they are, and forget those that do not answer."""
        self._session.require_link()
        await self._session.discovery.census(timeout_s)

    async def watch(self) -> AsyncIterator[Change]:
        """Changes of the mesh as they are noticed, until the iterator or the mesh is closed.

        At most 1,000 unread changes are kept; where more come, they are replaced by one ``"resync"``.
        """
        queue: asyncio.Queue[Change | None] = asyncio.Queue()

        def changed(before: Catalog, after: Catalog) -> None:
            for change in diff(before, after, overflow=queue.qsize() >= _WATCH_QUEUE):
                if change.kind == "resync":
                    while not queue.empty():
                        queue.get_nowait()
                queue.put_nowait(change)

        if self._session.is_closed:
            return
        stops = (
            self._session.discovery.on_change(changed),
            self._session.on_close(lambda: queue.put_nowait(None)),
        )
        try:
            while (change := await queue.get()) is not None:
                yield change
        finally:
            for stop in stops:
                stop()

    async def ops(self, node: str, verb: str, timeout_s: float = 2.0) -> dict[str, Any]:
        """Ask a node's operator verbs: ``"info"`` or ``"drain"``.

        Args:
            node: ``identity.instance``, as `nodes` names it.
            verb: the verb.
            timeout_s: how long to wait for the answer.
        """
        await self._seen()
        for info in await self.nodes():
            if info.name == node:
                questions = self._session.home.questions
                subject = questions.node_subject(info.region, info.identity, info.instance, verb, "ops")
                answer = await questions.ask(subject, b"{}", timeout_s)
                try:
                    return msgspec.json.decode(answer, type=dict[str, Any])
                except BAD_JSON as error:
                    raise RemoteError(f"{node} did not answer with an object: {error}") from error
        raise NotFound(f"no node is called {node!r}; `longreach ls nodes` shows those that are up")

    async def learn(self, server: str | None = None) -> Catalog:
        """Fetch all that is announced, or what one server announced, and return the catalog.

        What cannot be fetched is not in it. What was learned once is fetched anew whenever it changes.

        Raises:
            BrokerUnavailable: there is no connection, and nothing is known.
        """
        if self._session.link.is_up or not self.catalog.instances:
            return await self._known(server)
        return self.catalog

    def on_catalog(self, listener: Callable[[Catalog, Catalog], None]) -> Callable[[], None]:
        """Call `listener` with the old and the new catalog at each change; returns what ends that."""
        return self._session.discovery.on_change(listener)

    def on_updated(self, server: str, uri: str, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever a node says that a resource was updated; returns what ends that.

        It is also called when the connection comes back: what was said meanwhile is lost.
        """
        return self._session.on_updated(server, uri, listener)

    def on_close(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when the connection is closed; returns what ends that."""
        return self._session.on_close(listener)

    async def close(self) -> None:
        """End the connection; calls that still wait end as `OutcomeUnknown`, and their nodes are told."""
        await self._session.close()

    async def _mine(self, method: str, found: list[Info], asked_for: str | None) -> list[Info]:
        """Those of `found` that this caller may see, by the word of servers whose listings are private."""
        manifests = self.catalog.manifests_of
        servers = {each.server for each in found}
        private = [name for name in servers if any(m.cache_scope == "private" for m in manifests(name))]
        if not private:
            return found
        return await seen_of(found, method, private, self._ask_list, strict=asked_for is not None)

    async def _ask_list(self, server: str, method: str, request: bytes) -> bytes:
        options = self._options
        plan = await self._planner.plan(server, method, None, options.timeout_s)
        caller = self._session.home.caller
        return (await caller.call(plan, request, options, as_it_is, pass_answer)).result

    async def _known(self, server: str | None) -> Catalog:
        discovery = self._session.discovery
        await self._seen()
        await (discovery.want_all() if server is None else discovery.want(server))
        return discovery.catalog

    async def _seen(self) -> None:
        """Know the mesh, if only by having asked once."""
        self._session.require_link()
        if not self._session.discovery.catalog.instances:
            await self._session.discovery.refresh()
