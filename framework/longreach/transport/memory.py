"""A broker in memory, for tests: longreach's own and yours.

`MemoryBroker` does what a NATS broker does for longreach, in one event loop and without I/O: wildcards,
queue groups, "no responders", permissions, `max_payload`. `MemoryLink` is held to the same conformance
tests as `NatsLink`. Messages take two turns of the event loop, one to the broker and one from it, in
order for each link; nothing is delivered from within `send`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from longreach.transport._memorylink import Allow, MemoryLink, Message, matches
from longreach.transport.link import Subscription

__all__ = ["MemoryBroker", "MemoryLink", "Message", "matches"]

DEFAULT_MAX_PAYLOAD = 1024 * 1024


class MemoryBroker:
    """A broker in this event loop.

    Args:
        max_payload: for headers and data together, in bytes.
        balance: who of a queue group gets a message: anybody, or each in turn.
        seed: for the random choice, so that a test can be repeated.
    """

    def __init__(
        self,
        *,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        balance: Literal["random", "round_robin"] = "random",
        seed: int | None = None,
    ) -> None:
        self.max_payload = max_payload
        self._balance = balance
        self._random = random.Random(seed)  # noqa: S311 - balancing is no secret
        self._turns: dict[tuple[str, str], int] = {}
        self._links: list[MemoryLink] = []
        self._drops: list[Callable[[Message], bool]] = []

    def link(self, *, publish: Allow = None, subscribe: Allow = None) -> MemoryLink:
        """A new link, which is up.

        Args:
            publish: the subjects it may publish to.
            subscribe: what it may subscribe to; ``"a.b group"`` allows it in that queue group only.
        """
        link = MemoryLink(self, publish, subscribe)
        self._links.append(link)
        return link

    def cut(self, link: MemoryLink, reason: str = "cut") -> None:
        """Take the connection from `link`: what is on its way in either direction is lost."""
        link.go_down(reason)

    def restore(self, link: MemoryLink) -> None:
        """Give `link` a connection again; it writes its subscriptions anew."""
        link.go_up()

    def stall(self, link: MemoryLink) -> None:
        """Read nothing more from `link`, as a broker that hangs: what it sends piles up on its side."""
        link.stall()

    def resume(self, link: MemoryLink) -> None:
        """Read on."""
        link.resume()

    def drop(self, predicate: Callable[[Message], bool]) -> Callable[[], None]:
        """Lose each message for which `predicate` holds; call what is returned to end that."""
        self._drops.append(predicate)
        return lambda: self._drops.remove(predicate)

    def publish(self, sender: MemoryLink, message: Message) -> None:
        """Hand `message` to whoever hears its subject; called when it reaches the broker."""
        if any(predicate(message) for predicate in self._drops):
            return
        plain: list[tuple[MemoryLink, Subscription]] = []
        groups: dict[tuple[str, str], list[tuple[MemoryLink, Subscription]]] = {}
        for link in self._links:
            for subscription in link.heard_by_broker():
                if not matches(subscription.subject, message.subject):
                    continue
                if subscription.queue:
                    groups.setdefault((subscription.queue, subscription.subject), []).append(
                        (link, subscription)
                    )
                else:
                    plain.append((link, subscription))
        plain.extend(self._choose(group, members) for group, members in groups.items())
        for link, subscription in plain:
            link.deliver(subscription.sid, message)
        if not plain and message.reply:
            self._no_responders(sender, message.reply)

    def _choose(
        self, group: tuple[str, str], members: list[tuple[MemoryLink, Subscription]]
    ) -> tuple[MemoryLink, Subscription]:
        if self._balance == "random":
            return self._random.choice(members)
        turn = self._turns.get(group, 0)
        self._turns[group] = turn + 1
        return members[turn % len(members)]

    @staticmethod
    def _no_responders(sender: MemoryLink, reply: str) -> None:
        """The broker tells the sender's own connection, as NATS does."""
        message = Message(reply, "", b"", {"Status": "503"})
        for subscription in sender.heard_by_broker():
            if matches(subscription.subject, reply):
                sender.deliver(subscription.sid, message)

    def remove(self, link: MemoryLink) -> None:
        """Forget a link that is closed."""
        if link in self._links:
            self._links.remove(link)
