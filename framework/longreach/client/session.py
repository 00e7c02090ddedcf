"""Everything behind one connection of a client, put together and taken apart in one place."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from longreach.client.caller import Caller
from longreach.client.discovery import Discovery
from longreach.client.inbox import Inbox
from longreach.client.questions import Questions
from longreach.client.vigil import Vigil
from longreach.errors import BrokerUnavailable
from longreach.observe import event
from longreach.policy.liveness import Liveness, Lost, NodeId
from longreach.policy.retry import RetryBudget
from longreach.tasks import TaskSet
from longreach.wire.tokens import NONE, encode_optional, encode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from longreach.clock import Clock
    from longreach.policy.catalog import Catalog
    from longreach.transport.link import Denied, Link, LinkState

_log = logging.getLogger("longreach.client.session")
MAX_SKEW_MS = 2000
"""How much of a node's clock being ahead of ours is allowed for; more is reported, not followed."""


class Session:
    """One connection of a client: its inbox, its catalog, its calls.

    Args:
        link: the connection; the session closes it.
        clock: the time.
        namespace: the namespace.
        caller: who calls, or None.
        residency: the only regions that may be heard and asked; None: all.
        servers: the servers that it is about; None: all.
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
    ) -> None:
        self.link = link
        self.clock = clock
        self.residency = residency
        self.tasks = TaskSet("mesh")
        token, asker = encode_token(namespace), encode_optional(caller)
        regions = sorted(residency) if residency is not None else None
        self.inbox = Inbox(
            link, token, NONE, asker, [encode_token(region) for region in regions] if regions else ["*"]
        )
        self.questions = Questions(link, self.inbox, clock, namespace=token, via=NONE, caller=asker)
        self.discovery = Discovery(
            link, self.questions, clock, self.tasks, namespace=token, regions=regions, servers=servers
        )
        self.liveness = Liveness()
        self.vigil = Vigil(self.liveness, self.questions, clock, self._lost, self._tick)
        self.caller = Caller(
            link,
            self.inbox,
            self.questions,
            self.vigil,
            clock,
            RetryBudget(),
            namespace=token,
            via=NONE,
            caller=asker,
            skew_ms=self._skew_allowance,
        )
        self._skew_ms = 0
        self._closed = False
        self._on_close: list[Callable[[], None]] = []
        self.discovery.on_change(self._catalog_changed)
        link.on_change(self._link_changed)
        link.on_denied(self._denied)

    async def open(self) -> None:
        """Subscribe, and ask who is there."""
        self.inbox.open()
        self.discovery.open()
        if self.link.is_up:
            await self.discovery.refresh()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or is about to be."""
        return self._closed

    def on_close(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when the session closes; returns what ends that."""
        self._on_close.append(listener)
        return partial(self._on_close.remove, listener)

    def require_link(self) -> None:
        """Refuse what needs a connection while there is none.

        Raises:
            BrokerUnavailable: there is none.
        """
        if self.is_closed:
            raise BrokerUnavailable("the mesh is closed", retryable=False)
        if not self.link.is_up:
            raise BrokerUnavailable("no connection to a broker just now; it is being tried again")

    async def close(self) -> None:
        """Give up what waits, and close the connection."""
        if self._closed:
            return
        self._closed = True
        try:
            self.vigil.close()
            self.discovery.close()
            self.caller.close()
            await asyncio.sleep(0)  # the tasks of calls that are given up say so to the nodes that have them
            self.inbox.close()
            for listener in tuple(self._on_close):
                listener()
            await self.tasks.close()
        finally:
            await self.link.close()

    def _lost(self, loss: Lost) -> None:
        if loss.node is not None and loss.reason == "node_died":
            self.discovery.node_died(loss.node)
        self.caller.lost(loss)

    def _tick(self, now: float) -> None:
        self.caller.limit(now)

    def _catalog_changed(self, before: Catalog, after: Catalog) -> None:
        placed: dict[tuple[str, str], set[NodeId]] = {}
        for instance in after.instances.values():
            placed.setdefault((instance.server, instance.region), set()).add(instance.node)
        was = {(instance.server, instance.region) for instance in before.instances.values()}
        for server, region in was | placed.keys():
            self.liveness.instances(server, region, frozenset(placed.get((server, region), ())))
        left = {instance.node for instance in before.instances.values()} - {
            instance.node for instance in after.instances.values()
        }
        for node in left:
            self.liveness.node_left(node)
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
        now = self.clock.monotonic()
        if state.status == "up":
            self.liveness.link_back(now)
            self.liveness.rtt(self.link.rtt_s)
            if not self._closed:
                self.tasks.start(self.discovery.refresh(), name="who")
        else:
            self.liveness.link_lost(now)
            self.caller.limit_all(now)
        self.vigil.wake_now()

    def _denied(self, denied: Denied) -> None:
        if denied.kind == "publish":
            self.caller.denied(denied.subject)
        event(_log, "permission.denied", logging.WARNING, kind=denied.kind, subject=denied.subject)
