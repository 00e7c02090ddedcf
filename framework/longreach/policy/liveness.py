"""Silence is bounded, and silence is not death: which calls to ask about, and which to give up.

The client's side of docs/binding.md 7, as one state machine over all calls of a connection. It is told
what was sent, heard and answered; `tick` says whom to ask and what is lost. Every call costs two
dictionary operations; only calls that outlive 250 ms cost more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Literal, NamedTuple

import msgspec

from longreach.errors import Delivered

MAX_CALLS_PER_ASK = 512
_PROBES_FOR_S = 30.0
_DEATHS_KEPT = 64

Reason = Literal["gone", "node_died", "node_stuck", "not_here", "nobody_has_it"]


class NodeId(NamedTuple):
    """One run of one node."""

    region: str
    identity: str
    instance: str

    def __str__(self) -> str:
        return f"{self.identity}.{self.instance}"


class AskAlive(NamedTuple):
    """Ask a node which of these calls it still has; no calls: whether it is there at all."""

    probe: int
    node: NodeId
    calls: tuple[str, ...]


class AskWhose(NamedTuple):
    """Ask every instance of a server in a region which of these calls it has."""

    probe: int
    server: str
    region: str
    calls: tuple[str, ...]


class Lost(NamedTuple):
    """A call has ended without an answer."""

    call: str
    delivered: Delivered
    reason: Reason
    node: NodeId | None


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
    """

    accepted_after_s: float = 0.25
    slack_s: float = 0.1
    ask_every_s: float = 0.5
    twice_apart_s: float = 0.3
    stuck_s: float = 5.0
    whose_every_s: float = 0.5
    fresh_every_s: float = 0.1


class _Watch:
    """One call."""

    __slots__ = ("done_at", "group", "node", "refused_by", "region", "sent_at", "server")

    def __init__(self, server: str, region: str, sent_at: float) -> None:
        self.server = server
        self.region = region
        self.sent_at = sent_at
        self.node: NodeId | None = None
        self.group: _Group | None = None
        self.refused_by: set[NodeId] | None = None
        self.done_at: float | None = None


class _Node:
    """One node that is being asked."""

    __slots__ = ("calls", "first_503_at", "last_heard", "next_ask", "unanswered_since")

    def __init__(self, now: float, next_ask: float) -> None:
        self.calls: dict[str, None] = {}
        self.last_heard = now
        self.next_ask = next_ask
        self.unanswered_since: float | None = None
        self.first_503_at: float | None = None

    def hear(self, now: float) -> None:
        self.last_heard = now
        self.unanswered_since = None
        self.first_503_at = None


class _Group:
    """The calls to one server in one region that nobody has accepted."""

    __slots__ = ("asked_at", "calls", "changed", "fresh", "next_ask", "rounds")

    def __init__(self, now: float) -> None:
        self.calls: dict[str, None] = {}
        self.fresh: list[str] = []
        self.asked_at = float("-inf")
        self.next_ask = now
        self.rounds = 0
        self.changed = False

    def due(self, config: Config) -> float:
        """When it is to be asked about next: soon if calls have joined, else at its turn."""
        if not self.fresh:
            return self.next_ask
        return min(self.next_ask, self.asked_at + config.fresh_every_s)

    def take(self, now: float) -> list[str]:
        """The calls to ask about now: all at the group's turn, else those that have joined."""
        fresh, self.fresh = self.fresh, []
        if now >= self.next_ask:
            return list(self.calls)
        return [call for call in fresh if call in self.calls]


class Liveness:
    """Watches over the calls of one connection."""

    def __init__(self, config: Config | None = None) -> None:
        self._config = config or Config()
        self._rtt_s = 0.0
        self._calls: dict[str, _Watch] = {}
        self._young: deque[tuple[float, str]] = deque()
        self._nodes: dict[NodeId, _Node] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._instances: dict[tuple[str, str], frozenset[NodeId]] = {}
        self._deaths: dict[tuple[str, str], deque[tuple[float, NodeId]]] = {}
        self._probes: dict[int, tuple[float, NodeId | None]] = {}
        self._probe_ids = count(1)
        self._lost: list[Lost] = []
        self._paused = False

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def soonest_s(self) -> float:
        """A call that is sent, or accepted, now needs no look before so many seconds have passed."""
        return self._config.accepted_after_s

    # What happens to calls

    def sent(self, call: str, server: str, region: str, now: float) -> None:
        """A call was sent."""
        self._calls[call] = _Watch(server, region, now)
        self._young.append((now, call))

    def ended(self, call: str) -> None:
        """A call was answered, given up or cancelled: nothing is asked about it any more."""
        watch = self._calls.pop(call, None)
        if watch is None:
            return
        if watch.node is not None:
            node = self._nodes.get(watch.node)
            if node is not None:
                node.calls.pop(call, None)
        if watch.group is not None:
            watch.group.calls.pop(call, None)

    def accepted(self, call: str, node: NodeId, now: float) -> None:
        """A node says that it has the call."""
        entry = self._hear(node, now)
        watch = self._calls.get(call)
        if watch is None:
            return
        if watch.group is not None:
            watch.group.calls.pop(call, None)
            watch.group = None
        watch.node = node
        if not entry.calls:
            entry.next_ask = now + self._config.ask_every_s
        entry.calls[call] = None

    # What is heard of nodes

    def heard(self, node: NodeId, now: float) -> None:
        """A sign of life of a node."""
        entry = self._nodes.get(node)
        if entry is not None:
            entry.hear(now)

    def instances(self, server: str, region: str, nodes: frozenset[NodeId]) -> None:
        """The nodes that offer a server in a region, by the catalog."""
        key = (server, region)
        if nodes:
            self._instances[key] = nodes
        else:
            self._instances.pop(key, None)
        if key in self._groups:
            self._groups[key].changed = True

    def node_left(self, node: NodeId) -> None:
        """A node said good-bye. It has answered everything, so what is still open there is lost."""
        self._give_up(node, "gone")

    def alive_reply(self, node: NodeId, gone: Iterable[str], now: float, *, probe: int) -> None:
        """A node answered `AskAlive`."""
        self._probes.pop(probe, None)
        self._hear(node, now)
        for call in gone:
            watch = self._calls.get(call)
            if watch is not None and watch.node == node:
                self._lose(call, "unknown", "gone", node)

    def whose_reply(
        self,
        node: NodeId,
        have: Sequence[str],
        done: Sequence[str],
        asked: Iterable[str],
        now: float,
    ) -> None:
        """A node answered `AskWhose`: of what was asked and is in neither list, it will never run any."""
        self._hear(node, now)
        here = set(have)
        ended = set(done)
        for call in asked:
            watch = self._calls.get(call)
            if watch is None or watch.node is not None:
                continue
            if call in here:
                self.accepted(call, node, now)
            elif call in ended:
                watch.done_at = watch.done_at or now
            else:
                watch.refused_by = watch.refused_by or set()
                watch.refused_by.add(node)
                if watch.group is not None:
                    watch.group.changed = True

    def no_responders(self, probe: int, now: float) -> None:
        """The broker says that nobody hears a question. Once may be a reconnect; twice is death."""
        asked = self._probes.pop(probe, None)
        if asked is None or asked[1] is None:
            return
        node = asked[1]
        entry = self._nodes.get(node)
        if entry is None or self._is_silent(entry, now):
            return  # the broker has given up on a stuck node: that shortens nothing
        entry.unanswered_since = None
        if entry.first_503_at is None:
            entry.first_503_at = now
            entry.next_ask = now + self._config.twice_apart_s
        elif now - entry.first_503_at >= self._config.twice_apart_s - 1e-6:
            self._died(node, now)

    # What is known of our own link

    def rtt(self, seconds: float) -> None:
        """How long a round trip to the broker takes."""
        self._rtt_s = seconds

    def link_lost(self, now: float) -> None:
        """Our own link is down: the silence is ours, and no window runs."""
        self._paused = True

    def link_back(self, now: float) -> None:
        """Our own link is up: everything that is open is asked about at once."""
        self._paused = False
        for entry in self._nodes.values():
            entry.hear(now)
            entry.next_ask = now
        for group in self._groups.values():
            group.next_ask = now

    # What is to be done

    def next_tick(self, now: float) -> float | None:
        """When `tick` has something to do (monotonic s); None: not before something is sent or heard."""
        if self._lost:
            return now
        if self._paused:
            return None
        young = self._young
        while young and not self._is_waiting(young[0][1]):
            young.popleft()
        due = [young[0][0] + self._patience_s()] if young else []
        due += [entry.next_ask for node, entry in self._nodes.items() if self._wanted(node, entry)]
        for group in self._groups.values():
            if group.calls:
                due.append(now if group.changed else group.due(self._config))
        return min(due) if due else None

    def tick(self, now: float) -> list[Action]:
        """Whom to ask now, and which calls are lost."""
        actions: list[Action] = []
        if not self._paused:
            self._age(now)
            for key, group in self._groups.items():
                self._judge(key, group, now)
            actions += self._ask_groups(now)
            actions += self._ask_nodes(now)
            self._forget(now)
        actions += self._lost
        self._lost = []
        return actions

    def _patience_s(self) -> float:
        config = self._config
        return config.accepted_after_s + self._rtt_s + config.slack_s

    def _is_waiting(self, call: str) -> bool:
        watch = self._calls.get(call)
        return watch is not None and watch.node is None and watch.group is None

    def _is_silent(self, entry: _Node, now: float) -> bool:
        since = entry.unanswered_since
        return since is not None and now - since > (
            self._config.ask_every_s + self._config.slack_s + self._rtt_s
        )

    def _hear(self, node: NodeId, now: float) -> _Node:
        entry = self._nodes.get(node)
        if entry is None:
            entry = self._nodes[node] = _Node(now, now + self._config.ask_every_s)
        entry.hear(now)
        return entry

    def _wanted(self, node: NodeId, entry: _Node) -> bool:
        """Whether a node is being waited for: it has calls of ours, or may have some."""
        return bool(entry.calls) or any(
            group.calls and node in self._instances.get(key, ()) for key, group in self._groups.items()
        )

    def _age(self, now: float) -> None:
        """Calls that nobody has accepted for too long come into their group."""
        young, limit = self._young, now - self._patience_s()
        while young and young[0][0] <= limit:
            _, call = young.popleft()
            watch = self._calls.get(call)
            if watch is None or watch.node is not None:
                continue
            key = (watch.server, watch.region)
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = _Group(now)
            group.calls[call] = None
            group.fresh.append(call)
            watch.group = group

    def _ask_groups(self, now: float) -> Iterator[Action]:
        for (server, region), group in self._groups.items():
            if not group.calls or now < group.due(self._config):
                continue
            calls_to_ask = group.take(now)
            group.asked_at = now
            if now >= group.next_ask:
                group.next_ask = now + self._config.whose_every_s
                group.rounds += 1
            for calls in _batches(calls_to_ask):
                if calls:
                    yield AskWhose(self._new_probe(None, now), server, region, calls)
            for node in self._instances.get((server, region), ()):
                if node not in self._nodes:  # it is asked whether it is there, in the same tick
                    self._nodes[node] = _Node(now, now)

    def _ask_nodes(self, now: float) -> Iterator[Action]:
        for node, entry in list(self._nodes.items()):
            if not self._wanted(node, entry):
                continue
            if now - entry.last_heard >= self._config.stuck_s:
                for call in list(entry.calls):
                    self._lose(call, "unknown", "node_stuck", node)
            if now < entry.next_ask:
                continue
            entry.next_ask = now + self._config.ask_every_s
            if entry.unanswered_since is None:
                entry.unanswered_since = now
            for calls in _batches(entry.calls):
                yield AskAlive(self._new_probe(node, now), node, calls)

    def _judge(self, key: tuple[str, str], group: _Group, now: float) -> None:
        """End the calls of a group about which everybody has answered, or that nobody answers for."""
        group.changed = False
        instances = self._instances.get(key, frozenset())
        for call in list(group.calls):
            watch = self._calls[call]
            verdict = self._verdict(watch, group, instances, self._deaths.get(key, ()), now)
            if verdict is not None:
                self._lose(call, *verdict)

    def _verdict(
        self,
        watch: _Watch,
        group: _Group,
        instances: frozenset[NodeId],
        deaths: Iterable[tuple[float, NodeId]],
        now: float,
    ) -> tuple[Delivered, Reason, NodeId | None] | None:
        config = self._config
        if watch.done_at is not None:
            return ("unknown", "gone", None) if now - watch.done_at >= config.ask_every_s else None
        refused_by = watch.refused_by or set()
        died = next((node for at, node in deaths if at >= watch.sent_at and node not in refused_by), None)
        open_ones = [node for node in instances if node not in refused_by]
        if open_ones:
            if all(now - self._last_sign(node, watch) >= config.stuck_s for node in open_ones):
                return "unknown", "node_stuck", open_ones[0]
            return None
        if died is not None:
            return "unknown", "node_died", died
        if refused_by:
            return "no", "not_here", None
        rounds_over = group.rounds >= 2 and now >= group.next_ask
        return ("unknown", "nobody_has_it", None) if rounds_over else None

    def _last_sign(self, node: NodeId, watch: _Watch) -> float:
        entry = self._nodes.get(node)
        return watch.sent_at if entry is None else max(entry.last_heard, watch.sent_at)

    def _died(self, node: NodeId, now: float) -> None:
        for key, nodes in self._instances.items():
            if node in nodes:
                self._deaths.setdefault(key, deque(maxlen=_DEATHS_KEPT)).append((now, node))
                if key in self._groups:
                    self._groups[key].changed = True
        for key, nodes in list(self._instances.items()):
            self.instances(*key, nodes - {node})
        self._give_up(node, "node_died")
        self._lost.append(Lost("", "unknown", "node_died", node))

    def _give_up(self, node: NodeId, reason: Reason) -> None:
        entry = self._nodes.pop(node, None)
        if entry is not None:
            for call in list(entry.calls):
                self._lose(call, "unknown", reason, node)

    def _lose(self, call: str, delivered: Delivered, reason: Reason, node: NodeId | None) -> None:
        self.ended(call)
        self._lost.append(Lost(call, delivered, reason, node))

    def _new_probe(self, node: NodeId | None, now: float) -> int:
        probe = next(self._probe_ids)
        self._probes[probe] = (now, node)
        return probe

    def _forget(self, now: float) -> None:
        """Drop what nobody needs: old questions, nodes without calls, empty groups."""
        for probe, (asked_at, _) in list(self._probes.items()):
            if asked_at > now - _PROBES_FOR_S:
                break
            del self._probes[probe]
        for node, entry in list(self._nodes.items()):
            if not self._wanted(node, entry):
                del self._nodes[node]
        for key, group in list(self._groups.items()):
            if not group.calls:
                del self._groups[key]


def _batches(calls: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The calls in messages of at most 512; one empty message where there are none."""
    every = tuple(calls)
    for start in range(0, max(len(every), 1), MAX_CALLS_PER_ASK):
        yield every[start : start + MAX_CALLS_PER_ASK]
