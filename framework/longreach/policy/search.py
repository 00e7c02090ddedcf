"""The calls that nobody accepted: all instances are asked whose they are, until every one has answered.

A call is only "not here" when every instance that may have it said so. An instance that left the catalog
still may: a stuck node expires there, and the broker goes on giving it calls. So it stays suspected, a
*ghost*, until two "no responders" show that it is gone. Source: docs/binding.md M7.2, M7.3.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Set
from typing import NamedTuple

from longreach.errors import Delivered
from longreach.policy.pulse import Pulses
from longreach.policy.questions import AskWhose, Config, NodeId, Reason, batches
from longreach.wire.tokens import encode_token

Place = tuple[str, str]
"""(server, region)."""

_GHOST_S = 600.0
"""Longer than a broker keeps a connection on which nobody answers its pings."""
_DEATHS_KEPT = 64
_DEATHS_FOR_S = 60.0
"""Younger deaths are kept whatever their number: a call that was sent before one may be lost with it."""
_ROUNDS_TO_NOBODY = 2
_PARTLY_KNOWN_KEPT = 1000
"""Where more places than these are known in part, all of them are taken to be."""


class Watch:
    """One call that has outlived the time in which it is usually answered."""

    __slots__ = (
        "asked_at",
        "asker",
        "done_at",
        "is_doubtful",
        "node",
        "place",
        "refused_by",
        "rounds",
        "sent_at",
    )

    def __init__(self, place: Place, sent_at: float, asker: str = "") -> None:
        self.place = place
        self.sent_at = sent_at
        self.asker = asker
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
    """The instances of one server in one region: by the catalog, ghosts, and the dead with their time.

    `calls` are those that are searched for there, by so many `askers`. `is_watched` says whether `Pulses`
    watches all that may have them.
    """

    __slots__ = ("askers", "calls", "dead", "ghosts", "instances", "is_watched")

    def __init__(self) -> None:
        self.instances: set[NodeId] = set()
        self.ghosts: dict[NodeId, float] = {}
        self.dead: OrderedDict[NodeId, float] = OrderedDict()
        self.calls: dict[str, Watch] = {}
        self.askers = 0
        self.is_watched = False

    def move(self, joined: Set[NodeId], left: Set[NodeId], now: float) -> frozenset[NodeId]:
        """The catalog has changed; those that have left. Costs what has changed, not what there is."""
        gone = frozenset(left & self.instances)
        self.instances -= gone
        self.instances |= joined
        self.is_watched = False
        for node in joined:
            self.ghosts.pop(node, None)
            self.dead.pop(node, None)
        while self.ghosts and next(iter(self.ghosts.values())) < now - _GHOST_S:
            del self.ghosts[next(iter(self.ghosts))]
        self.ghosts.update(dict.fromkeys(gone, now))
        return gone

    def died(self, node: NodeId, now: float) -> None:
        if node in self:
            self.instances -= {node}
            self.ghosts.pop(node, None)
            self.dead[node] = now
            while len(self.dead) > _DEATHS_KEPT and next(iter(self.dead.values())) < now - _DEATHS_FOR_S:
                self.dead.popitem(last=False)

    def lives(self, node: NodeId, now: float) -> None:
        """A node that was taken for dead lives."""
        if self.dead.pop(node, None) is not None:
            self.ghosts[node] = now
            self.is_watched = False

    def __contains__(self, node: NodeId) -> bool:
        return node in self.instances or node in self.ghosts

    def __len__(self) -> int:
        return len(self.instances) + len(self.ghosts)

    @property
    def suspects(self) -> Set[NodeId]:
        """Those that live, or may live."""
        return self.instances.union(self.ghosts) if self.ghosts else self.instances

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known, or searched for, there."""
        return not (self.instances or self.ghosts or self.dead or self.calls)


class _Round:
    """The calls of one asker in one place that are searched for.

    They are judged every `whose_every_s`, and asked about as often, or less often where very many answer.
    """

    __slots__ = ("asked_at", "calls", "fresh", "is_denied", "next_ask", "next_turn")

    def __init__(self, now: float) -> None:
        self.calls: dict[str, Watch] = {}
        self.fresh: list[str] = []
        self.asked_at = float("-inf")
        self.next_ask = now
        self.next_turn = now
        self.is_denied = False

    def due(self, fresh_every_s: float) -> float:
        """When to look: at its turn, but soon about calls that have joined since."""
        return min(self.next_turn, self.asked_at + fresh_every_s) if self.fresh else self.next_turn

    def take(self, now: float) -> list[str]:
        """The calls to ask about now: all of them at its turn, else those that have joined."""
        fresh, self.fresh = self.fresh, []
        asked = list(self.calls) if now >= self.next_ask else [call for call in fresh if call in self.calls]
        if asked:
            self.asked_at = now
        return asked


class Search:
    """The search for all calls that nobody accepted, of all askers of a connection."""

    def __init__(self, config: Config, pulses: Pulses) -> None:
        self._config = config
        self._pulses = pulses
        self._rounds: dict[tuple[Place, str], _Round] = {}
        self._members: dict[Place, _Members] = {}
        self._searched: dict[Place, _Members] = {}
        self._dead: set[NodeId] = set()
        self._touched: dict[str, Watch] = {}  # there is something new about them
        self._partly_known: set[tuple[str, str]] = set()  # as tokens: of a long name nothing else is known
        self._too_many_partly_known = False
        self.hears_since: float | None = float("-inf")
        """Since when announcements are heard without a gap; None: they are not heard."""

    def begin(self, call: str, watch: Watch, now: float) -> None:
        """Search for a call."""
        place = watch.place
        members = self._members.get(place)
        if members is None:
            members = self._members[place] = _Members()
        members.calls[call] = watch
        self._searched[place] = members
        entry = self._rounds.get((place, watch.asker))
        if entry is None:
            entry = self._rounds[place, watch.asker] = _Round(now)
        if not entry.calls:
            members.askers += 1
        entry.calls[call] = watch
        entry.fresh.append(call)

    def end(self, call: str, watch: Watch) -> None:
        """The call was found, or is over."""
        members = self._searched.get(watch.place)
        if members is None or members.calls.pop(call, None) is None:
            return
        self._touched.pop(call, None)
        entry = self._rounds[watch.place, watch.asker]
        del entry.calls[call]
        if not entry.calls:
            members.askers -= 1
        if not members.calls:
            del self._searched[watch.place]
            members.is_watched = False
            if members.is_empty:
                del self._members[watch.place]

    def not_asked(self, place: Place, asker: str) -> None:
        """The broker's permissions refused a question of an asker to a place."""
        entry = self._rounds.get((place, asker))
        if entry is not None:
            entry.is_denied = True

    def partly_known(self, server_token: str, region_token: str) -> None:
        """Note that an announcement from a place was ignored: from now on not everybody there is known."""
        if len(self._partly_known) < _PARTLY_KNOWN_KEPT:
            self._partly_known.add((server_token, region_token))
        else:
            self._too_many_partly_known = True

    def _knows_everybody(self, place: Place, now: float) -> bool:
        """Whether every node that may have a call of a place is known: then everybody's "no" is a proof."""
        config, since = self._config, self.hears_since
        if not config.hears_joins or since is None or now - since < config.known_after_s:
            return False
        return not self._is_partly_known(place)

    def _is_partly_known(self, place: Place) -> bool:
        if not self._partly_known:  # nearly always
            return False
        tokens = (encode_token(place[0]), encode_token(place[1]))
        return self._too_many_partly_known or tokens in self._partly_known

    def instances(self, place: Place, nodes: frozenset[NodeId], now: float) -> frozenset[NodeId]:
        """These nodes, and no others, are in the catalog now; those that have left it."""
        members = self._members.get(place)
        known = frozenset[NodeId]() if members is None else frozenset(members.instances)
        return self.moved(place, nodes, known - nodes, now)

    def moved(self, place: Place, joined: Set[NodeId], left: Set[NodeId], now: float) -> frozenset[NodeId]:
        """The catalog has changed; those that have left it."""
        members = self._members.get(place)
        if members is None:
            if not joined:
                return frozenset()
            members = self._members[place] = _Members()
        gone = members.move(joined, left, now)
        self._touched.update(members.calls)
        if members.is_empty:
            del self._members[place]
        return gone

    def suspects(self, node: NodeId) -> bool:
        """Whether calls may be at that node."""
        return any(node in members for members in self._members.values())

    def suspects_of(self, place: Place) -> frozenset[NodeId]:
        """The nodes that may have the calls of a place."""
        members = self._members.get(place)
        return frozenset() if members is None else frozenset(members.suspects)

    def died(self, node: NodeId, now: float) -> None:
        """A node is dead."""
        for members in self._members.values():
            if node in members:
                members.died(node, now)
                self._dead.add(node)
                self._touched.update(members.calls)

    def heard(self, node: NodeId, now: float) -> None:
        """A node lives. If it was taken for dead it is suspected again, even before the catalog has it."""
        if node in self._dead:
            self._dead.discard(node)
            for members in self._members.values():
                members.lives(node, now)

    def refused(self, call: str, watch: Watch, node: NodeId, *, is_proof: bool) -> None:
        """A node says that it has never had the call, and never will.

        Without `is_proof` it may have forgotten that it had.
        """
        if node not in watch.refused_by:  # a "no" that was a proof stays one
            watch.refused_by.add(node)
            watch.is_doubtful |= not is_proof
            self._touched[call] = watch

    def done(self, watch: Watch, now: float) -> None:
        """A node says that the call has ended there."""
        if watch.done_at is None:
            watch.done_at = now

    def wants(self, node: NodeId) -> bool:
        """Whether the life or death of a node is waited for."""
        return any(node in members for members in self._searched.values())

    def ask(self, now: float) -> Iterator[AskWhose]:
        """The questions that are due. Whoever may have the calls is watched from then on."""
        for (place, asker), entry in self._rounds.items():
            if not entry.calls:
                continue
            members = self._members[place]
            if now < entry.due(self._every_s(members, self._config.fresh_every_s)):
                continue
            for calls in batches(self._take(entry, members, now)):
                if calls:
                    yield AskWhose(self._pulses.new_id(), *place, calls, asker)
            if not members.is_watched:
                members.is_watched = True
                for node in members.suspects:
                    self._pulses.watch(node, now)

    def _take(self, entry: _Round, members: _Members, now: float) -> list[str]:
        """The calls that are asked about now."""
        if now >= entry.next_turn:
            entry.next_turn = now + self._config.whose_every_s
        asked = entry.take(now)
        if now >= entry.next_ask:
            entry.next_ask = now + self._every_s(members, self._config.whose_every_s)
        for call in asked:
            watch = entry.calls[call]
            watch.rounds += 1
            if watch.asked_at is None:
                watch.asked_at = now
        return asked

    def judge(self, now: float) -> list[tuple[str, Verdict]]:
        """The calls whose search has ended, and how."""
        touched, self._touched = self._touched, {}
        for entry in self._rounds.values():
            if now >= entry.next_turn:
                touched.update(entry.calls)
        ended = []
        for call, watch in touched.items():
            entry = self._rounds[watch.place, watch.asker]
            verdict = self._verdict(watch, self._members[watch.place], now, is_due=now >= entry.next_ask)
            if verdict is not None:
                ended.append((call, verdict))
        return ended

    @property
    def has_news(self) -> bool:
        """Whether there is something to judge already."""
        return bool(self._touched)

    def next_due(self) -> float | None:
        """When there is something to ask or to judge."""
        if self._touched:
            return float("-inf")
        fresh_every_s = self._config.fresh_every_s
        due = [
            entry.due(self._every_s(self._members[place], fresh_every_s))
            for (place, _), entry in self._rounds.items()
            if entry.calls
        ]
        return min(due, default=None)

    def resume(self, now: float) -> None:
        """We hear again: every window begins anew, everybody is asked at once. A "no" stays a promise."""
        for entry in self._rounds.values():
            entry.next_ask = entry.next_turn = now
            entry.is_denied = False
            for watch in entry.calls.values():
                watch.rounds = 0
                watch.asked_at = None
                if watch.done_at is not None:
                    watch.done_at = now

    def forget(self, now: float) -> None:
        """Drop rounds without calls, but not before they may ask again."""
        for key in [key for key, e in self._rounds.items() if not e.calls and now >= e.next_ask]:
            del self._rounds[key]

    def _every_s(self, members: _Members, every_s: float) -> float:
        """How often each asker asks in a place, where every node answers every asker."""
        return self._config.every_s(len(members) * members.askers, every_s)

    def _verdict(self, watch: Watch, members: _Members, now: float, *, is_due: bool) -> Verdict | None:
        config, refused_by = self._config, watch.refused_by
        if watch.done_at is not None:
            return Verdict("unknown", "gone", None) if now - watch.done_at >= config.ask_every_s else None
        if len(refused_by) < len(members) and (
            watch.asked_at is None or now < watch.asked_at + config.stuck_s
        ):
            return None  # as below, without a look at each: somebody has not answered, and is not overdue
        suspects = [node for node in members.suspects if node not in refused_by]
        if suspects:
            if not all(self._is_overdue(watch, node, now) for node in suspects):
                return None
            return self._silent(watch, suspects, now)
        for node, at in members.dead.items():
            if at >= watch.sent_at and node not in refused_by:
                return Verdict("unknown", "node_died", node)
        if not refused_by.isdisjoint(members.suspects) or not refused_by.isdisjoint(members.dead):
            if watch.is_doubtful or now - watch.sent_at > config.believe_no_s:
                return Verdict("unknown", "gone", None)
            if not self._knows_everybody(watch.place, now):
                return Verdict("unknown", "nobody_has_it", None)
            return Verdict("no", "not_here", None)
        is_over = watch.rounds >= _ROUNDS_TO_NOBODY and is_due
        return self._nobody(watch) if is_over else None

    def _silent(self, watch: Watch, suspects: list[NodeId], now: float) -> Verdict:
        if self._rounds[watch.place, watch.asker].is_denied:  # they never heard the question
            return Verdict("unknown", "may_not_ask", None)
        for node in suspects:
            self._pulses.give_up(node, now)
        return Verdict("unknown", "node_stuck", min(suspects))

    def _nobody(self, watch: Watch) -> Verdict:
        is_denied = self._rounds[watch.place, watch.asker].is_denied
        return Verdict("unknown", "may_not_ask" if is_denied else "nobody_has_it", None)

    def _is_overdue(self, watch: Watch, node: NodeId, now: float) -> bool:
        """Whether a node has not said whether it has the call, though it was asked for long enough."""
        since = self._pulses.since(node)
        if watch.asked_at is None or since is None:
            return False
        return now - max(watch.asked_at, since) >= self._config.stuck_s
