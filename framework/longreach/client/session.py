"""Everything behind one connection of a client, put together and taken apart in one place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

from longreach.client.asker import Shared
from longreach.client.askers import Askers
from longreach.client.bodies import BodyOptions
from longreach.client.discovery import Discovery
from longreach.client.health import Health
from longreach.client.kept import Kept
from longreach.client.plan import CallStats
from longreach.client.vigil import Vigil
from longreach.errors import BrokerUnavailable
from longreach.observe import event
from longreach.policy.liveness import Liveness
from longreach.policy.parts import MAX_BODY_BYTES
from longreach.policy.retry import RetryBudget
from longreach.tasks import TaskSet
from longreach.wire.subjects import ROOT, resource_hash
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from longreach.client.asker import Asker
    from longreach.clock import Clock
    from longreach.policy.catalog import Catalog
    from longreach.policy.liveness import NodeId
    from longreach.transport.link import Denied, Link, LinkState

_log = logging.getLogger("longreach.client.session")
MAX_SKEW_MS = 2000
"""How much of a node's clock being ahead of ours is allowed for; more is reported, not followed."""
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
            vigil=Vigil(Liveness(), clock, self._died),
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
        )
        self.kept = Kept(clock)
        self._skew_ms = 0
        self._closed = False
        self._on_close: list[Callable[[], None]] = []
        self._updated: dict[Callable[[], None], None] = {}
        self.discovery.on_change(self._catalog_changed)
        link.on_change(self._link_changed)
        link.on_denied(self._denied)

    async def open(self) -> None:
        """Subscribe, and ask who is there."""
        self.askers.open()
        self.discovery.open()
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
        self._on_close.append(listener)
        return partial(_remove, self._on_close, listener)

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
        self._updated[heard] = None

        def stop() -> None:
            self._updated.pop(heard, None)
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
            for listener in tuple(self._on_close):
                listener()
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
        for key in after.instances.keys() - before.instances.keys():
            self.health.hope(after.instances[key].server, after.instances[key].region)
        placed: dict[tuple[str, str], set[NodeId]] = {}
        for instance in after.instances.values():
            placed.setdefault((instance.server, instance.region), set()).add(instance.node)
        self.askers.placed({place: frozenset(nodes) for place, nodes in placed.items()})
        if self.kept:
            was, now = ({(i.server, i.digest) for i in c.instances.values()} for c in (before, after))
            for server in {server for server, _ in was ^ now}:
                self.kept.drop(server)
        left = {instance.node for instance in before.instances.values()} - {
            instance.node for instance in after.instances.values()
        }
        for node in left:
            self.askers.node_left(node)
        skews = [instance.skew_ms for instance in after.instances.values()]
        self._skew_ms = min(max(0, *skews) if skews else 0, MAX_SKEW_MS)
        for key, instance in after.instances.items():
            if abs(instance.skew_ms) > MAX_SKEW_MS and key not in before.instances:
                event(
                    _log, "clock.skewed", logging.WARNING, skew_ms=instance.skew_ms,
                    node=f"{instance.identity}.{instance.instance}",
                )  # fmt: skip

    def _skew_allowance(self) -> int:
        return self._skew_ms

    def _link_changed(self, state: LinkState) -> None:
        is_up = state.status == "up"
        self.askers.link_changed(is_up, self.clock.monotonic())
        if is_up and not self._closed:
            self.health.denied.clear()  # other credentials may be allowed what these were not
            self.kept.clear()
            self.tasks.start(self.discovery.refresh(), name="who")
            for heard in tuple(self._updated):
                heard()

    def _denied(self, denied: Denied) -> None:
        if denied.kind == "publish":
            self.askers.denied(denied.subject)
        event(_log, "permission.denied", logging.WARNING, kind=denied.kind, subject=denied.subject)


def _remove(listeners: list[Callable[[], None]], listener: Callable[[], None]) -> None:
    with contextlib.suppress(ValueError):
        listeners.remove(listener)
