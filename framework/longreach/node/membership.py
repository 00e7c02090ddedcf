"""Queue-group membership, as a consequence of an actor's state.

An actor that is ready is subscribed to its tools' subjects in its server's queue group; in any other
state it is not. What was on its way when it left still arrives, and is answered: nothing is lost.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from longreach.errors import LongreachError
from longreach.observe import event
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from longreach.tasks import TaskSet
    from longreach.transport.link import Link, Sink, Subscription

_log = logging.getLogger("longreach.node.membership")
_LEAVE_TIMEOUT_S = 5.0


class Membership:
    """The subscriptions of one server on one node.

    Args:
        link: the connection.
        tasks: owns the fences of those that leave.
        namespace: the node's namespace token.
        region: the node's region token.
        server: the server's name.
        targets: the target tokens that it takes calls for.
    """

    def __init__(
        self,
        link: Link,
        tasks: TaskSet,
        *,
        namespace: str,
        region: str,
        server: str,
        targets: Iterable[str],
    ) -> None:
        self._link = link
        self._tasks = tasks
        self._queue = encode_token(server)
        self._base = f"{ROOT}.{namespace}.{region}.req.{self._queue}"
        self.targets = tuple(dict.fromkeys(targets))
        self._joined: dict[str, tuple[Sink, dict[str, Subscription]]] = {}
        self._left = False

    @property
    def joined(self) -> frozenset[str]:
        """The names that are in the group now, as ``method.name`` tokens."""
        return frozenset(self._joined)

    def join(self, method: str, name: str, sink: Sink) -> None:
        """Take requests for `method` and `name` (tokens) from the group; after `leave_all` no more."""
        address = f"{method}.{name}"
        if self._left or address in self._joined:
            return
        self._joined[address] = (sink, {})
        self._aim(address)

    def aim(self, targets: Iterable[str]) -> None:
        """Take requests for these target tokens from now on, and for no others, as `leave` leaves."""
        self.targets = tuple(dict.fromkeys(targets))
        for address in self._joined:
            self._aim(address)

    def _aim(self, address: str) -> None:
        sink, subscriptions = self._joined[address]
        for target in self.targets:
            if target not in subscriptions:
                subject = f"{self._base}.{target}.*.*.{address}"
                subscriptions[target] = self._link.subscribe(subject, sink, self._queue)
        for target in subscriptions.keys() - set(self.targets):
            self._drop(subscriptions.pop(target), address)

    def _drop(self, subscription: Subscription, address: str) -> None:
        self._link.unsubscribe(subscription)
        self._tasks.start(self._forget(subscription), name=f"leave {address}")

    def leave(self, addresses: Iterable[str]) -> None:
        """Leave the group at once; stay able to answer what is on its way, until the fence."""
        for address in addresses:
            if address in self._joined:
                for subscription in self._joined.pop(address)[1].values():
                    self._drop(subscription, address)

    async def leave_all(self) -> None:
        """Leave with every name, for good, and return when nothing more can arrive."""
        self._left = True
        subscriptions = [sub for _, subs in self._joined.values() for sub in subs.values()]
        self._joined.clear()
        for subscription in subscriptions:
            self._link.unsubscribe(subscription)
        for subscription in subscriptions:
            await self._forget(subscription)

    async def _forget(self, subscription: Subscription) -> None:
        try:
            await self._link.leave(subscription, _LEAVE_TIMEOUT_S)
        except LongreachError as error:  # without a link nothing can arrive either
            event(_log, "leave.unfenced", logging.DEBUG, reason=str(error))
