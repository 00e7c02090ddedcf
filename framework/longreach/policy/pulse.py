"""Whether nodes live: each is asked, and its silence or the broker's "no responders" is read.

Two "no responders" apart mean death. Silence alone never does: it makes a node stuck, and once it is, a
"no responders" (the broker has given up on it) proves nothing any more. Source: docs/binding.md M7.1, M7.3.

What a question shows, and for whom
-----------------------------------
That a node lives is shown by any answer to anybody, and counts for all askers of the connection. That it
still has the calls of one asker is shown only by its answer to that asker: a call is known by who made it.
So a node has *holders*, the askers with calls there. Each holder asks for itself, in turns.

How often
---------
Every question and its answer costs about 60 µs. Up to 400 nodes, and up to 400 pairs of node and holder,
each is asked every 500 ms. Where there are more, the interval grows with their number, so that it is 800
questions a second, up to 5 s (M7.4: a node must hear of each connection with calls there); from there on it
is one question every 5 s for each. A node that has not answered is always asked again after 500 ms.

A node's death is found one interval and 300 ms later; with 2,000 nodes that is 2.8 s. Its silence counts
from the question that it did not answer.

What is due next
----------------
Each node has the one time at which it is to be looked at, in a heap. When that time changes another entry is
added; an entry whose node has another time by then is skipped. An answer moves nothing in the heap: the node
is looked at when it would have been asked again, and found to have answered. A node that nobody waits for any
more is dropped when it is looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from longreach.policy.questions import AskAlive, Config, NodeId, batches

IsWanted = Callable[[NodeId], bool]
"""Whether a search waits for a node, though no holder does."""

_PROBES_FOR_S = 30.0
_MISSED_ROUNDS = 2
"""So many rounds of questions must have stayed unanswered for a node to count as silent.

Time alone would not do: the one question that a dying node took with it, and a busy client that asks the
next a little late, would look like a stuck node, and a death would take 5 s to be noticed.
"""
_STUCK_FOR_S = 30.0
"""For so long after its calls were given up a node counts as stuck, unless it is heard of. A broker with the
pings that we ask for has given it up long before."""
_MAX_LOOKS = 256
"""So many nodes are looked at in one tick, and about as many questions asked: 10 ms. The rest stay due."""
_MAX_HOLDERS = 64
"""So many holders of one node ask in one tick."""
_EPSILON_S = 1e-6
_NEVER = float("inf")


class _Probe(NamedTuple):
    """A question to a node."""

    asked_at: float
    node: NodeId
    after_silence: bool


class _Holder:
    """An asker with calls on a node, and when it last asked about them, or was told that they are there."""

    __slots__ = ("asked_at", "calls")

    def __init__(self, now: float) -> None:
        self.calls: dict[str, None] = {}
        self.asked_at = now


class Pulse:
    """What is known of one node that is being watched.

    `ask_at` is when it is to be asked, `look_at` when that is to be decided, `due` what the heap has for it.
    """

    __slots__ = (
        "ask_at",
        "due",
        "first_503",
        "holders",
        "last_heard",
        "left",
        "look_at",
        "missed",
        "since",
        "unanswered_since",
    )

    def __init__(self, now: float) -> None:
        self.holders: OrderedDict[str, _Holder] = OrderedDict()  # the one that asked longest ago is first
        self.since = now
        self.last_heard = float("-inf")
        self.ask_at = now
        self.look_at = now
        self.due = _NEVER
        self.unanswered_since: float | None = None
        self.missed = 0
        self.first_503: tuple[float, float] | None = None  # (asked at, answered at)
        self.left = False

    def hear(self, now: float) -> None:
        """It gave a sign of life."""
        self.last_heard = now
        self.left = False
        self.restart()

    def restart(self) -> None:
        """Nothing that was asked so far counts."""
        self.unanswered_since = None
        self.missed = 0
        self.first_503 = None

    @property
    def calls(self) -> list[str]:
        """The calls that are there, of all holders."""
        return [call for holder in self.holders.values() for call in holder.calls]

    @property
    def is_waited_for(self) -> bool:
        """Whether it has calls of ours, or has left the catalog and nobody knows how."""
        return bool(self.holders) or self.left


class Pulses:
    """The nodes that are being watched."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pulses: dict[NodeId, Pulse] = {}
        self._pairs = 0
        self._heap: list[tuple[float, NodeId]] = []
        self._looked: list[tuple[NodeId, Pulse]] = []
        self._probes: OrderedDict[int, _Probe] = OrderedDict()
        self._ids = count(1)
        self._stuck: OrderedDict[NodeId, float] = OrderedDict()
        self.rtt_s = 0.0

    def __len__(self) -> int:
        return len(self._pulses)

    def new_id(self) -> int:
        """A number for a question that no other has."""
        return next(self._ids)

    def hear(self, node: NodeId, now: float) -> None:
        """A sign of life, if that node is watched."""
        if self._stuck:
            self._stuck.pop(node, None)
        pulse = self._pulses.get(node)
        if pulse is not None:
            pulse.hear(now)

    def watch(self, node: NodeId, now: float) -> Pulse:
        """Watch a node; it is asked at once unless it was watched already."""
        pulse = self._pulses.get(node)
        if pulse is None:
            pulse = self._pulses[node] = Pulse(now)
            self._schedule(node, pulse)
        return pulse

    def not_asked(self, node: NodeId, now: float) -> None:
        """A question did not reach a node: its window begins anew, unless it has left the catalog."""
        pulse = self._pulses.get(node)
        if pulse is not None and not pulse.left:
            pulse.restart()
            pulse.last_heard = now

    def has(self, node: NodeId, call: str, now: float, asker: str) -> None:
        """A node says that it has a call of an asker."""
        pulse = self.watch(node, now)
        pulse.hear(now)
        holder = pulse.holders.get(asker)
        if holder is None:
            if not pulse.holders:
                pulse.ask_at = pulse.look_at = now + self._config.every_s(len(self._pulses))
                self._schedule(node, pulse)
            holder = pulse.holders[asker] = _Holder(now)
            self._pairs += 1
        holder.calls[call] = None

    def release(self, node: NodeId, call: str, asker: str) -> None:
        """A call is no longer waited for."""
        pulse = self._pulses.get(node)
        holder = None if pulse is None else pulse.holders.get(asker)
        if pulse is None or holder is None:
            return
        holder.calls.pop(call, None)
        if not holder.calls:
            del pulse.holders[asker]
            self._pairs -= 1

    def left(self, node: NodeId, now: float) -> None:
        """A node has left the catalog: find out at once whether it lives."""
        pulse = self.watch(node, now)
        pulse.left = True
        pulse.ask_at = pulse.look_at = now
        self._schedule(node, pulse)

    def since(self, node: NodeId) -> float | None:
        """Since when a node has been watched; None: it is not."""
        pulse = self._pulses.get(node)
        return None if pulse is None else pulse.since

    def answered(self, probe: int) -> None:
        """A question was answered."""
        self._probes.pop(probe, None)

    def no_responders(self, probe: int, now: float) -> NodeId | None:
        """The broker says that nobody hears a question; the node that is dead because of it, if one is."""
        asked = self._probes.pop(probe, None)
        pulse = None if asked is None else self._pulses.get(asked.node)
        if asked is None or pulse is None or asked.after_silence:
            return None
        pulse.unanswered_since = None
        pulse.missed = 0
        if pulse.first_503 is None:
            pulse.first_503 = (asked.asked_at, now)
            pulse.ask_at = pulse.look_at = now + self._config.twice_apart_s
            self._schedule(asked.node, pulse)
            return None
        # Both must be apart: questions that waited in a buffer reach the broker at the same moment.
        apart_s = min(asked.asked_at - pulse.first_503[0], now - pulse.first_503[1])
        return asked.node if apart_s >= self._config.twice_apart_s - _EPSILON_S else None

    def drop(self, node: NodeId) -> list[str]:
        """Watch a node no more; the calls that it had."""
        pulse = self._pulses.pop(node, None)
        if pulse is None:
            return []
        self._pairs -= len(pulse.holders)
        return pulse.calls

    def stuck(self, now: float) -> list[tuple[NodeId, list[str]]]:
        """The nodes that have been silent for too long, and what they had."""
        self._look(now)
        found = []
        for node, pulse in self._looked:
            if now >= self._stuck_at(pulse):
                found.append((node, pulse.calls))
            if pulse.left and now >= max(pulse.last_heard, pulse.since) + self._config.stuck_s:
                pulse.left = False
        return found

    def give_up(self, node: NodeId, now: float) -> None:
        """Calls were given up because a node is stuck: until it is heard of, it counts as that."""
        self._stuck[node] = now
        self._stuck.move_to_end(node)

    @property
    def known_stuck(self) -> Collection[NodeId]:
        """The nodes on which calls were given up lately, and that were not heard of since."""
        return self._stuck.keys()

    def ask(self, now: float, is_wanted: IsWanted) -> Iterator[AskAlive]:
        """The questions that are due: to nodes with calls of ours, and to those that are wanted."""
        self._look(now)
        looked, self._looked = self._looked, []
        asked = 0
        for node, pulse in looked:
            if self._pulses.get(node) is not pulse:
                continue  # dropped since
            if not (pulse.is_waited_for or is_wanted(node)):
                del self._pulses[node]
                continue
            if asked < _MAX_LOOKS and self._is_due(pulse, now):
                for question in self._questions(node, pulse, now):
                    asked += 1
                    yield question
            self._schedule(node, pulse)

    def next_due(self, is_wanted: IsWanted) -> float | None:
        """When a question is due, or patience with a silent node ends."""
        heap = self._heap
        while heap:
            due, node = heap[0]
            pulse = self._pulses.get(node)
            if pulse is not None and pulse.due == due:
                if pulse.is_waited_for or is_wanted(node):
                    return due
                del self._pulses[node]
            heappop(heap)
        return None

    def pause(self) -> None:
        """Our own link is down: what was asked will not be answered."""
        self._probes.clear()

    def resume(self, now: float) -> None:
        """We hear again: every window begins anew, everybody is asked at once."""
        self._probes.clear()
        for node, pulse in self._pulses.items():
            pulse.restart()
            pulse.since = pulse.ask_at = pulse.look_at = now
            if pulse.holders:
                pulse.last_heard = now
            self._schedule(node, pulse)

    def forget(self, now: float) -> None:
        """Drop what nobody needs: questions that will not be answered, nodes that were stuck long ago."""
        while self._stuck and next(iter(self._stuck.values())) <= now - _STUCK_FOR_S:
            self._stuck.popitem(last=False)
        while self._probes and next(iter(self._probes.values())).asked_at <= now - _PROBES_FOR_S:
            self._probes.popitem(last=False)

    def _look(self, now: float) -> None:
        """Take those that are due out of the heap; `ask` puts them back."""
        heap, looked = self._heap, self._looked
        while heap and heap[0][0] <= now and len(looked) < _MAX_LOOKS:
            due, node = heappop(heap)
            pulse = self._pulses.get(node)
            if pulse is not None and pulse.due == due:
                pulse.due = _NEVER
                looked.append((node, pulse))

    def _schedule(self, node: NodeId, pulse: Pulse) -> None:
        due = min(pulse.look_at, self._stuck_at(pulse))
        if due != pulse.due:
            pulse.due = due
            heappush(self._heap, (due, node))

    def _stuck_at(self, pulse: Pulse) -> float:
        """When patience with a node ends, unless it is heard of before.

        Silence counts from when it was last heard, or from half a second before the first question that it
        did not answer: who is asked less often, or late, was not silent before.
        """
        if not pulse.holders or pulse.unanswered_since is None:
            return _NEVER
        return max(pulse.last_heard, pulse.unanswered_since - self._config.ask_every_s) + self._config.stuck_s

    def _is_due(self, pulse: Pulse, now: float) -> bool:
        """Whether a node is to be asked now; if not, `look_at` is when it is looked at next."""
        if now < pulse.look_at:
            return False
        if not pulse.is_waited_for and now < pulse.last_heard + self._config.ask_every_s:
            pulse.look_at = pulse.last_heard + self._config.ask_every_s
            return False
        if now < pulse.ask_at and pulse.unanswered_since is None:
            pulse.look_at = pulse.ask_at
            return False
        return True

    def _questions(self, node: NodeId, pulse: Pulse, now: float) -> Iterator[AskAlive]:
        config = self._config
        after_silence = self._is_silent(pulse, now)
        if pulse.unanswered_since is None:
            pulse.unanswered_since = now
        pulse.missed += 1
        node_every_s, pair_every_s = config.every_s(len(self._pulses)), config.every_s(self._pairs)
        asked: list[tuple[str, tuple[str, ...]]] = []
        for asker, holder in pulse.holders.items():
            if asked and (len(asked) >= _MAX_HOLDERS or now < holder.asked_at + pair_every_s):
                break
            holder.asked_at = now
            asked += [(asker, calls) for calls in batches(holder.calls)]
        for asker in dict.fromkeys(asker for asker, _ in asked):
            pulse.holders.move_to_end(asker)
        pulse.ask_at = now + node_every_s
        if pulse.holders:
            pulse.ask_at = min(pulse.ask_at, next(iter(pulse.holders.values())).asked_at + pair_every_s)
        pulse.look_at = min(pulse.ask_at, now + config.ask_every_s)
        for asker, calls in asked or [("", ())]:
            probe = self.new_id()
            self._probes[probe] = _Probe(now, node, after_silence)
            yield AskAlive(probe, node, calls, asker)

    def _is_silent(self, pulse: Pulse, now: float) -> bool:
        since, config = pulse.unanswered_since, self._config
        patience_s = config.ask_every_s + config.slack_s + self.rtt_s
        return since is not None and pulse.missed >= _MISSED_ROUNDS and now - since > patience_s
