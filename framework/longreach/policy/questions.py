"""The values of liveness: who is asked what, what is lost, and the times that decide it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from longreach.errors import Delivered
from longreach.wire.frames import MAX_CALLS_PER_ASK

Reason = Literal["gone", "node_died", "node_stuck", "not_here", "nobody_has_it", "may_not_ask"]
"""Why a call is lost.

`gone`: its node no longer has it. `node_died`, `node_stuck`: what became of its node. `not_here`: every
instance says that it never had it and never will. `nobody_has_it`: nobody answers for it. `may_not_ask`: the
broker's permissions do not allow to ask for it.
"""


class NodeId(NamedTuple):
    """One run of one node."""

    region: str
    identity: str
    instance: str

    def __str__(self) -> str:
        return f"{self.identity}.{self.instance}"


class AskAlive(NamedTuple):
    """Ask a node which of these calls of an asker it still has; no calls: whether it is there at all."""

    probe: int
    node: NodeId
    calls: tuple[str, ...]
    asker: str = ""


class AskWhose(NamedTuple):
    """Ask every instance of a server in a region which of these calls of an asker it has."""

    probe: int
    server: str
    region: str
    calls: tuple[str, ...]
    asker: str = ""


class Lost(NamedTuple):
    """A call of an asker has ended without an answer.

    With an empty `call` no call is meant, but the node itself: it died, whether it had calls or not.
    """

    call: str
    delivered: Delivered
    reason: Reason
    node: NodeId | None
    asker: str = ""


Action = AskAlive | AskWhose | Lost


class Config(msgspec.Struct, frozen=True):
    """Times, in seconds.

    Args:
        accepted_after_s: when a node says that it has a call.
        slack_s: what is allowed for machines that are busy.
        ask_every_s: how often a node is asked about its calls.
        twice_apart_s: how far apart two "no responders" mean death.
        stuck_s: how long a silent node is waited for.
        whose_every_s: how often all instances are asked about calls that nobody accepted.
        fresh_every_s: how soon after that they are asked about calls that have joined those.
        believe_no_s: how old a call may be for everybody's "I never had it" to be taken as proof. Nodes
            remember ended calls in bounded memory, so that about an older one they may have forgotten.
        hears_joins: whether announcements are heard as they come, so that a node that joins is known before
            it takes calls. Otherwise a node that was never asked may have the call, and everybody's "no"
            proves nothing.
        known_after_s: for how long announcements must have been heard without a gap until every node is
            known. A node that joined in the gap is heard with its next heartbeat, at most 12 s later
            unless it stands still; one that is silent for 40 s is gone (binding M8.3).
        stall_s: `tick` so long overdue means that we stood still ourselves, and heard nobody meanwhile.
        full_rate: so many nodes are asked every `ask_every_s`; where there are more, each less often.
        slowest_s: but at least so often: a node cancels the calls of who is silent for 15 s.
    """

    accepted_after_s: float = 0.25
    slack_s: float = 0.1
    ask_every_s: float = 0.5
    twice_apart_s: float = 0.3
    stuck_s: float = 5.0
    whose_every_s: float = 0.5
    fresh_every_s: float = 0.1
    believe_no_s: float = 2.0
    hears_joins: bool = True
    known_after_s: float = 40.0
    stall_s: float = 1.0
    full_rate: int = 400
    slowest_s: float = 5.0

    def every_s(self, number: int, every_s: float | None = None) -> float:
        """How often each of `number` is asked, in place of every `every_s` (default: `ask_every_s`)."""
        shortest_s = self.ask_every_s if every_s is None else every_s
        if number <= self.full_rate:
            return shortest_s
        return max(shortest_s, min(self.slowest_s, shortest_s * number / self.full_rate))


def batches(calls: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The calls in messages of bounded length; one empty message where there are none."""
    every = tuple(calls)
    for start in range(0, max(len(every), 1), MAX_CALLS_PER_ASK):
        yield every[start : start + MAX_CALLS_PER_ASK]
