"""Whether nodes live: each is asked, and its silence or the broker's "no responders" is read.

Two "no responders" apart mean death. Silence alone never does: it makes a node stuck, and once it is, a
"no responders" (the broker has given up on it) proves nothing any more. Source: docs/binding.md M7.1, M7.3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import count
from typing import NamedTuple

from longreach.policy.questions import AskAlive, Config, NodeId, batches

_PROBES_FOR_S = 30.0
_MISSED_ROUNDS = 2
"""So many rounds of questions must have stayed unanswered for a node to count as silent.

Time alone would not do: the one question that a dying node took with it, and a busy client that asks the
next a little late, would look like a stuck node, and a death would take 5 s to be noticed.
"""
_STUCK_FOR_S = 30.0
"""For so long after its calls were given up a node counts as stuck, unless it is heard of. A broker with the
pings that we ask for has given it up long before."""
_EPSILON_S = 1e-6


class _Probe(NamedTuple):
    """A question to a node."""

    asked_at: float
    node: NodeId
    after_silence: bool


class Pulse:
    """What is known of one node that is being watched."""

    __slots__ = (
        "calls",
        "first_503",
        "last_heard",
        "left",
        "missed",
        "next_ask",
        "since",
        "unanswered_since",
    )

    def __init__(self, now: float) -> None:
        self.calls: dict[str, None] = {}
        self.since = now
        self.last_heard = float("-inf")
        self.next_ask = now
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
    def is_waited_for(self) -> bool:
        """Whether it has calls of ours, or has left the catalog and nobody knows how."""
        return bool(self.calls) or self.left


class Pulses:
    """The nodes that are being watched."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pulses: dict[NodeId, Pulse] = {}
        self._probes: dict[int, _Probe] = {}
        self._ids = count(1)
        self._stuck: dict[NodeId, float] = {}
        self.rtt_s = 0.0

    def new_id(self) -> int:
        """A number for a question that no other has."""
        return next(self._ids)

    def hear(self, node: NodeId, now: float) -> None:
        """A sign of life, if that node is watched."""
        self._stuck.pop(node, None)
        pulse = self._pulses.get(node)
        if pulse is not None:
            pulse.hear(now)

    def watch(self, node: NodeId, now: float) -> Pulse:
        """Watch a node; it is asked at once unless it was watched already."""
        pulse = self._pulses.get(node)
        if pulse is None:
            pulse = self._pulses[node] = Pulse(now)
        return pulse

    def has(self, node: NodeId, call: str, now: float) -> None:
        """A node says that it has a call."""
        pulse = self.watch(node, now)
        pulse.hear(now)
        if not pulse.calls:
            pulse.next_ask = now + self._config.ask_every_s
        pulse.calls[call] = None

    def release(self, node: NodeId, call: str) -> None:
        """A call is no longer waited for."""
        pulse = self._pulses.get(node)
        if pulse is not None:
            pulse.calls.pop(call, None)

    def left(self, node: NodeId, now: float) -> None:
        """A node has left the catalog: find out at once whether it lives."""
        pulse = self.watch(node, now)
        pulse.left = True
        pulse.next_ask = now

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
            pulse.next_ask = now + self._config.twice_apart_s
            return None
        # Both must be apart: questions that waited in a buffer reach the broker at the same moment.
        apart_s = min(asked.asked_at - pulse.first_503[0], now - pulse.first_503[1])
        return asked.node if apart_s >= self._config.twice_apart_s - _EPSILON_S else None

    def drop(self, node: NodeId) -> list[str]:
        """Watch a node no more; the calls that it had."""
        pulse = self._pulses.pop(node, None)
        return [] if pulse is None else list(pulse.calls)

    def stuck(self, now: float) -> list[tuple[NodeId, list[str]]]:
        """The nodes that have been silent for too long, and what they had."""
        # Here and below: the very sum that `next_due` names: rounding must not make them differ.
        stuck_s = self._config.stuck_s
        found = []
        for node, pulse in self._pulses.items():
            if pulse.calls and now >= pulse.last_heard + stuck_s:
                found.append((node, list(pulse.calls)))
            if pulse.left and now >= max(pulse.last_heard, pulse.since) + stuck_s:
                pulse.left = False
        return found

    def give_up(self, node: NodeId, now: float) -> None:
        """Calls were given up because a node is stuck: until it is heard of, it counts as that."""
        self._stuck[node] = now

    @property
    def known_stuck(self) -> Collection[NodeId]:
        """The nodes on which calls were given up lately, and that were not heard of since."""
        return self._stuck.keys()

    def ask(self, now: float, wanted: Collection[NodeId]) -> Iterator[AskAlive]:
        """The questions that are due: to nodes with calls of ours, and to those `wanted`."""
        config = self._config
        for node, pulse in self._pulses.items():
            if now < pulse.next_ask or not (pulse.is_waited_for or node in wanted):
                continue
            if not pulse.is_waited_for and now < pulse.last_heard + config.ask_every_s:
                pulse.next_ask = pulse.last_heard + config.ask_every_s
                continue
            pulse.next_ask = now + config.ask_every_s
            after_silence = self._is_silent(pulse, now)
            if pulse.unanswered_since is None:
                pulse.unanswered_since = now
            pulse.missed += 1
            for calls in batches(pulse.calls):
                probe = self.new_id()
                self._probes[probe] = _Probe(now, node, after_silence)
                yield AskAlive(probe, node, calls)

    def next_due(self, wanted: Collection[NodeId]) -> float | None:
        """When a question is due, or patience with a silent node ends."""
        due = []
        for node, pulse in self._pulses.items():
            if pulse.is_waited_for or node in wanted:
                due.append(pulse.next_ask)
            if pulse.calls:
                due.append(pulse.last_heard + self._config.stuck_s)
        return min(due, default=None)

    def pause(self) -> None:
        """Our own link is down: what was asked will not be answered."""
        self._probes.clear()

    def resume(self, now: float) -> None:
        """We hear again: every window begins anew, everybody is asked at once."""
        self._probes.clear()
        for pulse in self._pulses.values():
            pulse.restart()
            pulse.since = pulse.next_ask = now
            if pulse.calls:
                pulse.last_heard = now

    def forget(self, now: float, wanted: Collection[NodeId]) -> None:
        """Drop what nobody needs: nodes that are not waited for, questions that will not be answered."""
        for node in [n for n, p in self._pulses.items() if not p.is_waited_for and n not in wanted]:
            del self._pulses[node]
        for node in [node for node, at in self._stuck.items() if at <= now - _STUCK_FOR_S]:
            del self._stuck[node]
        while self._probes:
            probe = next(iter(self._probes))
            if self._probes[probe].asked_at > now - _PROBES_FOR_S:
                return
            del self._probes[probe]

    def _is_silent(self, pulse: Pulse, now: float) -> bool:
        since, config = pulse.unanswered_since, self._config
        patience_s = config.ask_every_s + config.slack_s + self.rtt_s
        return since is not None and pulse.missed >= _MISSED_ROUNDS and now - since > patience_s
