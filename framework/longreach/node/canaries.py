"""Canaries: servers of a node that take a share of calls in a slot of their own.

A canary is in its slot's subjects in place of those of the groups of all. Its node hears what the others
announce of their calls, and takes the canary out of service when it fails significantly more than they do.
Source: docs/binding.md 15.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from longreach.errors import LongreachError
from longreach.observe import event
from longreach.policy.canary import RULES, CanaryWatch, Counts, Rules
from longreach.wire import frames
from longreach.wire.subjects import ANY, canary_target, version_target

if TYPE_CHECKING:
    from longreach.node.announcer import Announcer
    from longreach.node.membership import Membership
    from longreach.node.peers import Peers
    from longreach.node.tally import Tally
    from longreach.tasks import TaskSet
    from longreach.transport.link import Link

_log = logging.getLogger("longreach.node.canaries")
LOOK_EVERY_S = 1.0
LINGER_S = 0.25
"""For how long the subjects are kept that askers used before they heard of the change."""
_FENCE_TIMEOUT_S = 5.0
WHOLE = 100
"""The weight of what is no canary."""


def targets_of(version: str, weight: int | None) -> tuple[str, ...]:
    """The target tokens under which a server takes calls from its group."""
    return (ANY, version_target(version)) if weight is None else (canary_target(version),)


class Canary:
    """One server of a node: whether it is a canary, and for how much.

    Args:
        link: the connection.
        tasks: owns changes, and the watch.
        announcer: announces it.
        membership: its subscriptions.
        tally: its calls.
        server: the server's name.
        version: its version.
        place: (identity, instance).
        peers: the other nodes of the server.
        weight: its share at first; None: it is none.
        rules: when it is rolled back.
    """

    def __init__(
        self,
        link: Link,
        tasks: TaskSet,
        announcer: Announcer,
        membership: Membership,
        tally: Tally,
        *,
        server: str,
        version: str,
        place: tuple[str, str],
        peers: Peers,
        weight: int | None,
        rules: Rules = RULES,
    ) -> None:
        self.server = server
        self.version = version
        self.weight = weight
        identity, instance = place
        self._link = link
        self._tasks = tasks
        self._announcer = announcer
        self._membership = membership
        self._tally = tally
        self._watch = CanaryWatch(server, version, (identity, instance, server), rules)
        self._peers = peers
        self._hearing: Callable[[], None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        announcer.weights[server] = weight
        self._watch_or_not()

    def change(self, weight: int | None, why: str) -> None:
        """Take another share of the calls; None: take part in the groups of all."""
        if weight == self.weight:
            return
        before, self.weight = self.weight, weight
        level = logging.WARNING if why == "worse" else logging.INFO
        event(_log, "canary.changed", level, server=self.server, version=self.version,
              before=WHOLE if before is None else before, now=WHOLE if weight is None else weight,
              reason=why)  # fmt: skip
        self._watch_or_not()
        self._tasks.start(self._follow(), name=f"canary {self.server}")

    def close(self) -> None:
        """Neither hear nor look any more."""
        self.weight = None
        self._watch_or_not()

    async def _follow(self) -> None:
        """Be subscribed as the weight says: join first, then say so, then leave; nothing falls between."""
        async with self._changing:
            weight = self.weight
            wanted = targets_of(self.version, weight)
            self._membership.aim((*self._membership.targets, *wanted))
            try:
                await self._link.fence(_FENCE_TIMEOUT_S)
            except LongreachError as error:
                event(_log, "fence.failed", logging.DEBUG, reason=str(error))
            self._announcer.weights[self.server] = weight
            self._announcer.announce(self.server)
            if set(wanted) != set(self._membership.targets):
                await asyncio.sleep(LINGER_S)
                self._membership.aim(wanted)

    def _watch_or_not(self) -> None:
        if self.weight is None or self.weight == 0:
            if self._hearing is not None:
                self._hearing()
                self._hearing = None
            if self._looking is not None:
                self._looking.cancel()
                self._looking = None
            return
        self._watch.begin(self._counts())
        if self._hearing is None:
            self._hearing = self._peers.listen(self._watch.heard)
        if self._looking is None:
            self._looking = self._tasks.spawn(self._look(), name=f"watch canary {self.server}")

    def _counts(self) -> Counts:
        return Counts(self._tally.calls, self._tally.errors)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            found = self._watch.look(self._counts())
            if found.verdict == "roll_back":
                event(
                    _log, "canary.worse", logging.WARNING, server=self.server, version=self.version,
                    calls=found.canary.calls, errors=found.canary.errors,
                    stable_calls=found.stable.calls, stable_errors=found.stable.errors,
                )  # fmt: skip
                self._looking = None  # it ends by itself
                self.change(0, "worse")
                return


Change = Callable[[frames.CanaryRequest], frames.CanaryReply]


def changer(canaries: dict[str, Canary]) -> Change:
    """What answers the operator's verb `canary`, for these servers."""

    def change(request: frames.CanaryRequest) -> frames.CanaryReply:
        canary = canaries.get(request.server)
        if canary is None or canary.version != request.version:
            return frames.CanaryReply(request.server, request.version, None, known=False)
        canary.change(request.weight, "an operator asked for it")
        return frames.CanaryReply(canary.server, canary.version, canary.weight, known=True)

    return change
