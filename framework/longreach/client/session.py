"""Everything behind one connection of a client, put together and taken apart in one place."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from longreach.client.asker import Shared
from longreach.client.askers import Askers
from longreach.client.bodies import BodyOptions
from longreach.client.discovery import Discovery
from longreach.client.health import Health
from longreach.client.kept import Kept
from longreach.client.plan import CallStats
from longreach.client.planner import Plans
from longreach.client.vigil import Vigil
from longreach.errors import BrokerUnavailable
from longreach.listeners import Listeners
from longreach.observe import event
from longreach.policy.liveness import Config, Liveness
from longreach.policy.parts import MAX_BODY_BYTES
from longreach.policy.retry import RetryBudget
from longreach.policy.seldom import Seldom
from longreach.tasks import TaskSet
from longreach.wire.subjects import ROOT, resource_hash
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from longreach.client.asker import Asker
    from longreach.clock import Clock
    from longreach.policy.catalog import Catalog, Moved
    from longreach.policy.liveness import NodeId
    from longreach.policy.search import Place
    from longreach.transport.link import Denied, Link, LinkState

_log = logging.getLogger("longreach.client.session")
_SWEEP_EVERY_S = 15.0


class Session:
    """One connection of a client: its link, its catalog, and those who ask over it.

    Args:
        link: the connection; the session closes it.
        clock: the time.
        namespace: the namespace.
        caller: who calls, or None.
        residency: the only regions that may be heard and asked; None: all.
        servers: the servers that it is about; None: all.
        via: through whom the callers call, a gateway's name, or None.
        bodies: what is done with bodies that no message holds; None: as by default.
        ask_every_s: ask who is there so often, in place of hearing heartbeats; None: hear them.
    """

    def __init__(
        self,
        link: Link,
        clock: Clock,
        *,
        namespace: str,
        caller: str | None,
        residency: frozenset[str] | None,
        servers: Sequence[str] | None,
        via: str | None = None,
        bodies: BodyOptions | None = None,
        ask_every_s: float | None = None,
    ) -> None:
        self.link = link
        self.clock = clock
        self.residency = residency
        self.tasks = TaskSet("mesh")
        self.stats = CallStats()
        self.health = Health(clock)
        self.namespace = token = encode_token(namespace)
        regions = sorted(residency) if residency is not None else None
        self._regions = tuple(map(encode_token, regions)) if regions else ("*",)
        shared = Shared(
            link=link,
            clock=clock,
            namespace=token,
            regions=self._regions,
            budget=RetryBudget(),
            stats=self.stats,
            skew_ms=self._skew_allowance,
            vigil=Vigil(Liveness(Config(hears_joins=ask_every_s is None)), clock, self._died),
            health=self.health,
            tasks=self.tasks,
            bodies=bodies or BodyOptions(MAX_BODY_BYTES),
        )
        self.askers = Askers(shared, via, caller)
        self.home = self.askers.home
        """Asks for whoever opened the connection."""
        self.discovery = Discovery(
            link,
            self.home.questions,
            clock,
            self.tasks,
            namespace=token,
            regions=regions,
            servers=servers,
            ask_every_s=ask_every_s,
            on_ignored=shared.vigil.liveness.partly_known,
        )
        self.kept = Kept(clock)
        self.plans = Plans()
        self._denials = Seldom()
        self._closed = False
        self._on_close: Listeners[[]] = Listeners("close")
        self._updated: Listeners[[]] = Listeners("resource updated")
        self.discovery.on_change(self._catalog_changed)
        link.on_change(self._link_changed)
        link.on_denied(self._denied)

    async def open(self) -> None:
        """Subscribe, and ask who is there."""
        self.askers.open()
        self.discovery.open()
        self.home.liveness.hears_joins(self.clock.monotonic())
        self.tasks.start(self._sweep(), name="sweep")
        if self.link.is_up:
            await self.discovery.refresh()

    def asker(self, caller: str | None) -> Asker:
        """Whoever asks for `caller`; None: for whoever opened the connection."""
        return self.home if caller is None else self.askers.of(caller)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or is about to be."""
        return self._closed

    def on_close(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when the session closes; returns what ends that."""
        return self._on_close.add(listener)

    def on_updated(self, server: str, uri: str, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever a node says that a resource was updated; returns what ends that.

        It is also called when the connection comes back: what was said meanwhile is lost.
        """

        def heard(*_: object) -> None:
            self.kept.drop(server, uri)
            listener()

        tail = f"evt.{encode_token(server)}.updated.{resource_hash(uri)}"
        subscriptions = [
            self.link.subscribe(f"{ROOT}.{self.namespace}.{region}.{tail}", heard) for region in self._regions
        ]
        forget = self._updated.add(heard)

        def stop() -> None:
            forget()
            for subscription in subscriptions:
                self.link.unsubscribe(subscription)
            subscriptions.clear()

        return stop

    def require_link(self) -> None:
        """Refuse what needs a connection while there is none.

        Raises:
            BrokerUnavailable: there is none.
        """
        if self.is_closed:
            raise BrokerUnavailable("the mesh is closed", retryable=False)
        if not self.link.is_up:
            raise BrokerUnavailable("no connection to a broker just now; it is being tried again")

    async def close(self, timeout_s: float = 5.0) -> None:
        """Give up what waits, and close the connection, which has `timeout_s` to send what is written."""
        if self._closed:
            return
        self._closed = True
        try:
            self.askers.stop()
            self.health.close()
            self.discovery.close()
            await asyncio.sleep(0)  # the tasks of calls that are given up say so to the nodes that have them
            self.askers.close()
            self._on_close.tell()
            await self.tasks.close()
        finally:
            await self.link.close(timeout_s)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            self.askers.close_idle()

    def _died(self, node: NodeId) -> None:
        self.discovery.node_died(node)

    def _catalog_changed(self, before: Catalog, after: Catalog) -> None:
        self.health.renew()
        joined, left = _places(after.moved(before).values())
        for place in joined:
            self.health.hope(*place)
        self.askers.moved(joined, left)
        if self.kept:
            for server in after.changed_servers(before):
                if set(after.digests_of(server)) != set(before.digests_of(server)):
                    self.kept.drop(server)
        for node in {node for nodes in left.values() for node in nodes}:
            if (node.identity, node.instance) not in after.nodes:
                self.askers.node_left(node)

    def _skew_allowance(self) -> int:
        return self.discovery.hearing.ahead_ms

    def _link_changed(self, state: LinkState) -> None:
        is_up = state.status == "up"
        self.askers.link_changed(is_up, self.clock.monotonic())
        if is_up and not self._closed:
            self.health.denied.clear()  # other credentials may be allowed what these were not
            self.kept.clear()
            self.tasks.start(self.discovery.refresh(), name="who")
            self._updated.tell()

    def _denied(self, denied: Denied) -> None:
        if denied.kind == "publish":
            self.askers.denied(denied.subject)
        elif denied.subject.split(".")[4:5] == ["adv"]:
            self.home.liveness.hears_joins(None)
        count = self._denials.due(denied.sort, self.clock.monotonic())
        if count is not None:  # each call that is refused is one
            event(
                _log, "permission.denied", logging.WARNING, kind=denied.kind, subject=denied.subject,
                count=count,
            )  # fmt: skip


def _places(moved: Iterable[Moved]) -> tuple[dict[Place, set[NodeId]], dict[Place, set[NodeId]]]:
    """The nodes that offer a server in a region now, and those that do no longer, by (server, region)."""
    joined: dict[Place, set[NodeId]] = {}
    left: dict[Place, set[NodeId]] = {}
    for was, now in moved:
        if was is not None and now is not None and was.region == now.region:
            continue
        if now is not None:
            joined.setdefault((now.server, now.region), set()).add(now.node)
        if was is not None:
            left.setdefault((was.server, was.region), set()).add(was.node)
    return joined, left
