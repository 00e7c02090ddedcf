"""The calls that nobody accepted: all instances are asked whose they are, until every one has answered.

A call is only "not here" when every instance that may have it said so. An instance that left the catalog
still may: a stuck node expires there, and the broker goes on giving it calls. So it stays suspected, a
*ghost*, until two "no responders" show that it is gone. Source: docs/binding.md M7.2, M7.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from longreach.errors import Delivered
from longreach.policy.pulse import Pulses
from longreach.policy.questions import AskWhose, Config, NodeId, Reason, batches

Place = tuple[str, str]
"""(server, region)."""

_GHOST_S = 600.0
"""Longer than a broker keeps a connection on which nobody answers its pings."""
_DEATHS_KEPT = 64
_ROUNDS_TO_NOBODY = 2


class Watch:
    """One call that has outlived the time in which it is usually answered."""

    __slots__ = ("asked_at", "done_at", "is_doubtful", "node", "place", "refused_by", "rounds", "sent_at")

    def __init__(self, place: Place, sent_at: float) -> None:
        self.place = place
        self.sent_at = sent_at
        self.node: NodeId | None = None
        self.asked_at: float | None = None
        self.rounds = 0
        self.refused_by: set[NodeId] = set()
        self.is_doubtful = False
        self.done_at: float | None = None


class Verdict(NamedTuple):
    """How the search for a call ended."""

    delivered: Delivered
    reason: Reason
    node: NodeId | None


class _Members:
    """The instances of one server in one region: by the catalog, ghosts, and the dead with their time."""

    __slots__ = ("dead", "ghosts", "instances")

    def __init__(self) -> None:
        self.instances: frozenset[NodeId] = frozenset()
        self.ghosts: dict[NodeId, float] = {}
        self.dead: dict[NodeId, float] = {}

    def replace(self, nodes: frozenset[NodeId], now: float) -> frozenset[NodeId]:
        """The catalog has changed; those that have left."""
        left = self.instances - nodes
        self.instances = nodes
        for node in nodes:
            self.ghosts.pop(node, None)
            self.dead.pop(node, None)
        for node in [node for node, at in self.ghosts.items() if at < now - _GHOST_S]:
            del self.ghosts[node]
        self.ghosts.update(dict.fromkeys(left, now))
        return left

    def died(self, node: NodeId, now: float) -> None:
        if node in self.instances or node in self.ghosts:
            self.instances -= {node}
            self.ghosts.pop(node, None)
            self.dead[node] = now
            if len(self.dead) > _DEATHS_KEPT:
                del self.dead[next(iter(self.dead))]

    @property
    def suspects(self) -> frozenset[NodeId]:
        """Those that live, or may live."""
        return self.instances.union(self.ghosts) if self.ghosts else self.instances


class _Round:
    """The calls of one place that are searched for."""

    __slots__ = ("asked_at", "calls", "fresh", "next_ask")

    def __init__(self, now: float) -> None:
        self.calls: dict[str, Watch] = {}
        self.fresh: list[str] = []
        self.asked_at = float("-inf")
        self.next_ask = now

    def due(self, config: Config) -> float:
        """When to ask: at its turn, but soon about calls that have joined since."""
        return min(self.next_ask, self.asked_at + config.fresh_every_s) if self.fresh else self.next_ask

    def take(self, now: float) -> list[str]:
        """The calls to ask about now: all of them at its turn, else those that have joined."""
        fresh, self.fresh = self.fresh, []
        self.asked_at = now
        return list(self.calls) if now >= self.next_ask else [call for call in fresh if call in self.calls]


class Search:
    """The search for all calls that nobody accepted."""

    def __init__(self, config: Config, pulses: Pulses) -> None:
        self._config = config
        self._pulses = pulses
        self._rounds: dict[Place, _Round] = {}
        self._members: dict[Place, _Members] = {}
        self._dead: set[NodeId] = set()
        self._has_news = False

    def begin(self, call: str, watch: Watch, now: float) -> None:
        """Search for a call."""
        entry = self._rounds.get(watch.place)
        if entry is None:
            entry = self._rounds[watch.place] = _Round(now)
        entry.calls[call] = watch
        entry.fresh.append(call)

    def end(self, call: str, watch: Watch) -> None:
        """The call was found, or is over."""
        entry = self._rounds.get(watch.place)
        if entry is not None:
            entry.calls.pop(call, None)

    def instances(self, place: Place, nodes: frozenset[NodeId], now: float) -> frozenset[NodeId]:
        """The catalog has changed; those that have left it."""
        self._has_news = True
        members = self._members.get(place)
        if members is None:
            if not nodes:
                return frozenset()
            members = self._members[place] = _Members()
        left = members.replace(nodes, now)
        if not (members.instances or members.ghosts or members.dead):
            del self._members[place]
        return left

    def suspects(self, node: NodeId) -> bool:
        """Whether calls may be at that node."""
        return any(node in members.instances or node in members.ghosts for members in self._members.values())

    def suspects_of(self, place: Place) -> frozenset[NodeId]:
        """The nodes that may have the calls of a place."""
        members = self._members.get(place)
        return frozenset() if members is None else members.suspects

    def died(self, node: NodeId, now: float) -> None:
        """A node is dead."""
        self._has_news = True
        for members in self._members.values():
            members.died(node, now)
        self._dead = {node for members in self._members.values() for node in members.dead}

    def heard(self, node: NodeId, now: float) -> None:
        """A node lives. If it was taken for dead it is suspected again, even before the catalog has it."""
        if node in self._dead:
            self._dead.discard(node)
            for members in self._members.values():
                if members.dead.pop(node, None) is not None:
                    members.ghosts[node] = now

    def refused(self, watch: Watch, node: NodeId, *, is_proof: bool) -> None:
        """A node says that it has never had the call, and never will.

        Without `is_proof` it may have forgotten that it had.
        """
        self._has_news = True
        if node not in watch.refused_by:  # a "no" that was a proof stays one
            watch.refused_by.add(node)
            watch.is_doubtful |= not is_proof

    def done(self, watch: Watch, now: float) -> None:
        """A node says that the call has ended there."""
        if watch.done_at is None:
            watch.done_at = now

    def wanted(self) -> set[NodeId]:
        """The nodes whose life or death is waited for."""
        nodes: set[NodeId] = set()
        for place, entry in self._rounds.items():
            if entry.calls and place in self._members:
                nodes |= self._members[place].suspects
        return nodes

    def ask(self, now: float) -> Iterator[AskWhose]:
        """The questions that are due. Whoever may have the calls is watched from then on."""
        for place, entry in self._rounds.items():
            if not entry.calls or now < entry.due(self._config):
                continue
            asked = entry.take(now)
            if now >= entry.next_ask:
                entry.next_ask = now + self._config.whose_every_s
            for call in asked:
                watch = entry.calls[call]
                watch.rounds += 1
                if watch.asked_at is None:
                    watch.asked_at = now
            for calls in batches(asked):
                if calls:
                    yield AskWhose(self._pulses.new_id(), *place, calls)
            if place in self._members:
                for node in self._members[place].suspects:
                    self._pulses.watch(node, now)

    def judge(self, now: float) -> list[tuple[str, Verdict]]:
        """The calls whose search has ended, and how."""
        self._has_news = False
        ended = []
        for place, entry in self._rounds.items():
            members = self._members.get(place) or _Members()
            for call, watch in entry.calls.items():
                is_due = now >= entry.next_ask
                verdict = self._verdict(watch, members, now, is_due=is_due)
                if verdict is not None:
                    ended.append((call, verdict))
        return ended

    def next_due(self) -> float | None:
        """When there is something to ask or to judge."""
        due = [entry.due(self._config) for entry in self._rounds.values() if entry.calls]
        return float("-inf") if due and self._has_news else min(due, default=None)

    def resume(self, now: float) -> None:
        """We hear again: every window begins anew, everybody is asked at once. A "no" stays a promise."""
        for entry in self._rounds.values():
            entry.next_ask = now
            for watch in entry.calls.values():
                watch.rounds = 0
                watch.asked_at = None
                if watch.done_at is not None:
                    watch.done_at = now

    def forget(self, now: float) -> None:
        """Drop places without calls, but not before they may be asked again."""
        for place in [p for p, e in self._rounds.items() if not e.calls and now >= e.next_ask]:
            del self._rounds[place]

    def _verdict(self, watch: Watch, members: _Members, now: float, *, is_due: bool) -> Verdict | None:
        config, refused_by = self._config, watch.refused_by
        if watch.done_at is not None:
            return Verdict("unknown", "gone", None) if now - watch.done_at >= config.ask_every_s else None
        suspects = [node for node in members.suspects if node not in refused_by]
        if suspects:
            if not all(self._is_overdue(watch, node, now) for node in suspects):
                return None
            for node in suspects:
                self._pulses.give_up(node, now)
            return Verdict("unknown", "node_stuck", min(suspects))
        for node, at in members.dead.items():
            if at >= watch.sent_at and node not in refused_by:
                return Verdict("unknown", "node_died", node)
        if not refused_by.isdisjoint(members.suspects) or not refused_by.isdisjoint(members.dead):
            if watch.is_doubtful or now - watch.sent_at > config.believe_no_s:
                return Verdict("unknown", "gone", None)
            return Verdict("no", "not_here", None)
        is_over = watch.rounds >= _ROUNDS_TO_NOBODY and is_due
        return Verdict("unknown", "nobody_has_it", None) if is_over else None

    def _is_overdue(self, watch: Watch, node: NodeId, now: float) -> bool:
        """Whether a node has not said whether it has the call, though it was asked for long enough."""
        since = self._pulses.since(node)
        if watch.asked_at is None or since is None:
            return False
        return now - max(watch.asked_at, since) >= self._config.stuck_s
