"""One asker: whoever sends requests under one via and caller, with an inbox of its own.

What the broker and the nodes know of a caller is in the subject: an answer, a question about a call and
its cancel all go under the via and caller of the call itself. So each caller of a gateway has an asker;
they share the link, the catalog, the watch over calls and the budget of re-runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from longreach.client.bodies import Bodies, BodyOptions
from longreach.client.caller import Caller
from longreach.client.inbox import Inbox
from longreach.client.questions import Questions
from longreach.client.sender import Sender
from longreach.client.vigil import Vigil, Watched
from longreach.tasks import TaskSet
from longreach.wire.parts import COMPRESSED, UNDERSTANDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.client.health import Health
    from longreach.client.plan import CallStats
    from longreach.clock import Clock
    from longreach.policy.retry import RetryBudget
    from longreach.transport.link import Link


class Shared(msgspec.Struct, frozen=True):
    """What all askers of a connection have in common.

    Args:
        link: the connection.
        clock: the time.
        namespace: namespace token.
        regions: the region tokens in which answers are heard; ``*`` for all.
        budget: of re-runs whose first run may have happened.
        stats: counts what is done.
        skew_ms: how far ahead the nodes' clocks may be.
        vigil: watches over the calls of all of them.
        health: of the routes.
        tasks: own what goes on for bodies that no message holds.
        bodies: what is done with those.
    """

    link: Link
    clock: Clock
    namespace: str
    regions: tuple[str, ...]
    budget: RetryBudget
    stats: CallStats
    skew_ms: Callable[[], int]
    vigil: Vigil
    health: Health
    tasks: TaskSet
    bodies: BodyOptions


class Asker:
    """Sends requests under one via and caller.

    Args:
        shared: what it shares with others.
        via: the `via` token.
        caller: the `caller` token.
    """

    def __init__(self, shared: Shared, via: str, caller: str) -> None:
        link, clock, namespace = shared.link, shared.clock, shared.namespace
        ending = COMPRESSED if shared.bodies.compress else UNDERSTANDS
        self.inbox = Inbox(link, namespace, via, caller, shared.regions, ending)
        self.questions = Questions(link, self.inbox, clock, namespace=namespace, via=via, caller=caller)
        self.vigil = shared.vigil
        self.liveness = shared.vigil.liveness
        self.sender = Sender(
            link,
            self.inbox,
            self.questions,
            self.vigil,
            clock,
            shared.health,
            namespace=namespace,
            via=via,
            caller=caller,
            skew_ms=shared.skew_ms,
            stats=shared.stats,
            bodies=Bodies(self.questions, self.liveness, clock, shared.tasks, shared.bodies),
        )
        self.caller = Caller(self.sender, self.vigil, clock, shared.budget, shared.stats)
        self.in_use = 0
        """How many requests are being made; one that is in use is not closed for being idle."""
        self.used_at = clock.monotonic()

        self.vigil.watch(self.inbox.connection, Watched(self.questions, self.sender.lost, self.sender.limit))

    def open(self) -> None:
        """Hear answers."""
        self.inbox.open()

    def stop(self) -> None:
        """Send no more, and end what waits; `close` comes when those who waited have told the nodes."""
        self.vigil.unwatch(self.inbox.connection)
        self.caller.close()

    def close(self) -> None:
        """Hear no more."""
        self.inbox.close()
