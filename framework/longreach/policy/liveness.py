"""Silence is bounded, and silence is not death: which calls to ask about, and which to give up.

The client's side of docs/binding.md 7, as one state machine over all calls of a connection, whoever of its
askers made them. It is told what was sent, heard and answered; `tick` says whom to ask and what is lost. A
call costs one dictionary entry; only those that outlive 250 ms cost more. Whether nodes live is `pulse`'s
idea, the search for calls that nobody accepted `search`'s.

    sent ──accepted──▶ at a node: it is asked every 500 ms   (gone | node_died | node_stuck)
      └──350 ms──────▶ searched for: everybody is asked whose (not_here | node_died | node_stuck |
                       gone | nobody_has_it), until somebody has it: at that node
    ended, at any time: nothing more is said about it
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set

from longreach.errors import Delivered
from longreach.policy.pulse import Pulses
from longreach.policy.questions import Action, AskAlive, AskWhose, Config, Lost, NodeId, Reason
from longreach.policy.search import Place, Search, Watch

__all__ = ["Action", "AskAlive", "AskWhose", "Config", "Liveness", "Lost", "NodeId", "Place", "Reason"]


class Liveness:
    """Watches over the calls of one connection. All times are monotonic seconds that never go back.

    Args:
        config: the times that decide.
    """

    def __init__(self, config: Config | None = None) -> None:
        self._config = config or Config()
        # Calls in the order in which they were sent, as (server, region, sent at, asker); then those that
        # are watched. Two, so that a fast call costs no more than one entry in the first.
        self._fresh: dict[str, tuple[str, str, float, str]] = {}
        self._watched: dict[str, Watch] = {}
        self._pulses = Pulses(self._config)
        self._search = Search(self._config, self._pulses)
        # Calls that their node no longer has, with when it said so first: the answer may be behind that word.
        self._gone: dict[str, float] = {}
        self._lost: dict[str, Lost] = {}  # not told yet; an answer that comes before is still welcome
        self._died: list[Lost] = []
        self._slow: list[tuple[str, str]] = []
        self._paused = False
        self._now = 0.0
        self._due: float | None = None

    def __len__(self) -> int:
        return len(self._fresh) + len(self._watched) + len(self._lost)

    @property
    def patience_s(self) -> float:
        """A call that is sent, or accepted, now needs no look before so many seconds have passed."""
        return self._config.accepted_after_s + self._config.slack_s + self._pulses.rtt_s

    # What happens to calls

    def sent(self, call: str, server: str, region: str, now: float, asker: str = "") -> None:
        """A call was sent; `call` is its token, which no other call has, `asker` who asks about it."""
        self._fresh[call] = (server, region, now, asker)

    def ended(self, call: str) -> None:
        """A call was answered, given up or cancelled: nothing is asked or said about it any more."""
        if self._fresh.pop(call, None) is None:
            self._lost.pop(call, None)
            self._unwatch(call)

    def accepted(self, call: str, node: NodeId, now: float) -> None:
        """A node says that it has the call."""
        self.heard(node, now)
        watch = self._watched.get(call)
        if watch is None:
            fresh = self._fresh.pop(call, None)
            if fresh is None:
                return
            watch = self._watched[call] = Watch(fresh[:2], fresh[2], fresh[3])
        elif watch.node is None:
            self._search.end(call, watch)
        elif watch.node != node:
            self._pulses.release(watch.node, call, watch.asker)
        self._gone.pop(call, None)
        watch.node = node
        self._pulses.has(node, call, now, watch.asker)

    def search(self, calls: Iterable[str], now: float) -> None:
        """Search for calls now: they may not have reached anybody. What is watched goes on as it is."""
        self._now = now
        for call in calls:
            fresh = self._fresh.pop(call, None)
            if fresh is not None:
                watch = self._watched[call] = Watch(fresh[:2], fresh[2], fresh[3])
                self._search.begin(call, watch, now)
                self._slow.append((fresh[3], call))

    # What is heard of nodes

    def heard(self, node: NodeId, now: float) -> None:
        """A sign of life of a node."""
        self._now = now
        self._pulses.hear(node, now)
        self._search.heard(node, now)

    def instances(self, server: str, region: str, nodes: frozenset[NodeId]) -> None:
        """The nodes that offer a server in a region, by the catalog; `moved` tells of changes."""
        now = self._latest()
        for node in self._search.instances((server, region), nodes, now):
            self._pulses.left(node, now)

    def partly_known(self, server_token: str, region_token: str) -> None:
        """Note that an announcement was ignored: everybody's "no" there proves nothing any more."""
        self._search.partly_known(server_token, region_token)

    def moved(self, server: str, region: str, joined: Set[NodeId], left: Set[NodeId]) -> None:
        """Some nodes more, and some less, offer a server in a region, by the catalog."""
        now = self._latest()
        for node in self._search.moved((server, region), joined, left, now):
            self._pulses.left(node, now)

    def node_left(self, node: NodeId) -> None:
        """A node said good-bye, or fell out of the catalog.

        That is no proof: it is asked at once, keeps its calls if it answers, and loses them if it is dead.
        """
        if self._pulses.since(node) is not None or self._search.suspects(node):
            self._pulses.left(node, self._latest())

    def suspects(self, server: str, region: str) -> frozenset[NodeId]:
        """The nodes that offer a server in a region, and those that left the catalog but may live."""
        return self._search.suspects_of((server, region))

    @property
    def stuck(self) -> Collection[NodeId]:
        """The nodes on which calls were given up because they stopped answering, and that still do not."""
        return self._pulses.known_stuck

    def alive_reply(self, node: NodeId, gone: Iterable[str], now: float, *, probe: int) -> None:
        """A node answered `AskAlive`; it no longer has the calls in `gone`.

        Each is lost if its answer does not come within `ask_every_s`, as after "done": on its way through
        other brokers, or other connections, an answer may be behind what was said after it.
        """
        self._pulses.answered(probe)
        self.heard(node, now)
        for call in gone:
            watch = self._watched.get(call)
            if watch is not None and watch.node == node:
                self._gone.setdefault(call, now)

    def whose_reply(
        self,
        node: NodeId,
        have: Sequence[str],
        done: Sequence[str],
        asked: Iterable[str],
        now: float,
        *,
        remembers_s: float = float("inf"),
    ) -> None:
        """A node answered `AskWhose`: of what was asked and is in neither list, it will never run any.

        Args:
            node: who answered.
            have: those that it has.
            done: those that have ended there.
            asked: what it was asked about.
            now: the time.
            remembers_s: how many seconds back it remembers what has ended: of an older call that it does
                not name, it may have forgotten that it ran.
        """
        self.heard(node, now)
        here, ended = set(have), set(done)
        for call in asked:
            watch = self._watched.get(call)
            if watch is None or watch.node is not None:
                continue
            if call in here:
                self.accepted(call, node, now)
            elif call in ended:
                self._search.done(watch, now)
            else:
                self._search.refused(call, watch, node, is_proof=now - watch.sent_at <= remembers_s)

    def no_responders(self, probe: int, now: float) -> None:
        """The broker says that nobody hears a question. Once may be a reconnect; twice is death."""
        self._now = now
        node = self._pulses.no_responders(probe, now)
        if node is None:
            return
        self._search.died(node, now)
        for call in self._pulses.drop(node):
            self._lose(call, "unknown", "node_died", node)
        self._died.append(Lost("", "unknown", "node_died", node))

    def not_asked(self, about: NodeId | Place, now: float, asker: str = "") -> None:
        """The broker's permissions refused a question of `asker` to a node, or to all instances of a place.

        So silence proves nothing. A call on such a node is waited for as long as the catalog has that node; a
        call that is searched for ends as `unknown` when nobody has answered for it in time.
        """
        if isinstance(about, NodeId):
            self._pulses.not_asked(about, now)
        else:
            self._search.not_asked(about, asker)

    # What is known of our own link

    def hears_joins(self, since: float | None) -> None:
        """Note since when announcements are heard without a gap; None: they cannot be heard.

        A connection that comes back (`link_back`) begins anew. Defaults to since ever.
        """
        self._search.hears_since = since

    def rtt(self, seconds: float) -> None:
        """How long a round trip to the broker takes."""
        self._pulses.rtt_s = seconds

    def link_lost(self, now: float) -> None:
        """Our own link is down: the silence is ours, nothing is asked, and no window runs."""
        self._now = now
        self._paused = True
        self._pulses.pause()

    def link_back(self, now: float) -> None:
        """Our own link is up: everything that is open is asked about at once.

        Nodes that joined meanwhile are known when they have been heard (`Config.known_after_s`).
        """
        self._now = now
        self._search.hears_since = now
        self._paused = False
        self._resume(now)

    # What is to be done

    def next_tick(self, now: float) -> float | None:
        """When `tick` has something to do (monotonic s); None: not before something is sent or heard."""
        due = self._next_due()
        self._due = None if due is None else max(due, now)
        return self._due

    def tick(self, now: float) -> list[Action]:
        """Whom to ask now, and which calls are lost."""
        self._now = now
        actions: list[Action] = []
        if not self._paused:
            self._notice_stall(now)
            self._age(now)
            self._give_up(now)
            actions += self._search.ask(now)
            actions += self._pulses.ask(now, self._search.wants)
            self._search.forget(now)
            self._pulses.forget(now)
        actions += self._died
        actions += self._lost.values()
        self._died.clear()
        self._lost.clear()
        return actions

    @property
    def has_news(self) -> bool:
        """Whether `tick` has something to do already, whatever the time."""
        return bool(self._lost or self._died) or (not self._paused and self._search.has_news)

    def slow(self) -> list[tuple[str, str]]:
        """The (asker, call) that `tick` found unanswered for too long, each of them once."""
        slow, self._slow = self._slow, []
        return slow

    def _next_due(self) -> float | None:
        if self._lost or self._died:
            return self._now
        if self._paused:
            return None
        due = [self._search.next_due(), self._pulses.next_due(self._search.wants)]
        if self._fresh:
            due.append(next(iter(self._fresh.values()))[2] + self.patience_s)
        if self._gone:
            due.append(next(iter(self._gone.values())) + self._config.ask_every_s)
        return min((at for at in due if at is not None), default=None)

    def _latest(self) -> float:
        """The latest time that we were told."""
        return max(self._now, next(reversed(self._fresh.values()))[2]) if self._fresh else self._now

    def _notice_stall(self, now: float) -> None:
        """If we stood still ourselves, the answers of that time are still unread: nobody was silent."""
        if self._due is not None and now - self._due >= self._config.stall_s:
            self._resume(now)
        self._due = None

    def _resume(self, now: float) -> None:
        self._pulses.resume(now)
        self._search.resume(now)
        self._gone = dict.fromkeys(self._gone, now)

    def _age(self, now: float) -> None:
        """Calls that nobody has accepted for too long are searched for."""
        patience_s = self.patience_s
        old = []
        for call, (_, _, sent_at, _) in self._fresh.items():
            if now < sent_at + patience_s:
                break
            old.append(call)
        for call in old:
            server, region, sent_at, asker = self._fresh.pop(call)
            watch = self._watched[call] = Watch((server, region), sent_at, asker)
            self._search.begin(call, watch, now)
            self._slow.append((asker, call))

    def _give_up(self, now: float) -> None:
        for node, calls in self._pulses.stuck(now):
            self._pulses.give_up(node, now)
            for call in calls:
                self._lose(call, "unknown", "node_stuck", node)
        for call, verdict in self._search.judge(now):
            self._lose(call, *verdict)
        over = []
        for call, since in self._gone.items():  # in the order in which they were said to be gone
            if now < since + self._config.ask_every_s:
                break
            over.append(call)
        for call in over:
            self._lose(call, "unknown", "gone", self._watched[call].node)

    def _lose(self, call: str, delivered: Delivered, reason: Reason, node: NodeId | None) -> None:
        watch = self._unwatch(call)
        self._lost[call] = Lost(call, delivered, reason, node, "" if watch is None else watch.asker)

    def _unwatch(self, call: str) -> Watch | None:
        watch = self._watched.pop(call, None)
        if watch is None:
            return None
        self._gone.pop(call, None)
        if watch.node is None:
            self._search.end(call, watch)
        else:
            self._pulses.release(watch.node, call, watch.asker)
        return watch
