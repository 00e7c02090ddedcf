"""Liveness against a small world: nodes with the real call book, a broker, a link that comes and goes.

What the world knows for certain (where each call is, whether it ran or ever will) is what liveness has to
get right from the outside.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from longreach.policy.calls import CallBook
from longreach.policy.liveness import Action, AskAlive, AskWhose, Config, Liveness, Lost, NodeId

SCOPE = "_._.c"
SERVER, REGION = "docs", "eu"
CONFIG = Config()
HONEST_S = 20.0
"""Long enough for every window of liveness to have run out, one after another."""
BEAT_S = 12.0
UNKNOWN_STOPPED_S = 15.0
"""So long may a node stand still that we have never heard of: with a heartbeat and a step, less than 40 s."""


class Node:
    def __init__(self, name: str) -> None:
        self.id = NodeId(REGION, "n", name)
        self.book = CallBook()
        self.calls: set[str] = set()
        self.inbox: list[tuple] = []
        self.running = True  # False: stopped, SIGSTOP
        self.connected = True  # the broker believes in it
        self.dead = False
        self.silent_since = 0.0
        self.back_at = 0.0
        self.known = False
        self.beat_at = 0.0


class World(RuleBasedStateMachine):
    @initialize(
        answers_who=st.lists(st.booleans(), min_size=1, max_size=3), heard_for_s=st.sampled_from([0, 60])
    )
    def begin(self, answers_who: list[bool], heard_for_s: int) -> None:
        """An asker that has heard for long knows every node; a new one knows those that answered `who`."""
        self.now = 100.0
        self.liveness = Liveness(CONFIG)
        self.liveness.hears_joins(self.now - heard_for_s)
        self.nodes: list[Node] = []
        self.catalog: set[NodeId] = set()
        self.link_up = True
        self.link_changed_at = 0.0
        self.sequence = 0
        self.open: set[str] = set()
        self.ended: set[str] = set()
        self.lost: dict[str, Lost] = {}
        self.ran: dict[str, Node] = {}
        for answers in answers_who:
            self.join(is_heard=answers or heard_for_s > 0)

    # What happens in the world

    @precondition(lambda self: len(self.nodes) < 6)
    @rule()
    def join(self, *, is_heard: bool = True) -> None:
        self.sequence += 1
        node = Node(str(self.sequence))
        self.nodes.append(node)
        node.beat_at = self.now + BEAT_S
        if is_heard:
            self.announce(node)

    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        """A new instance in the place of one that is killed, which remembers nothing."""
        self.kill(data)
        if len(self.nodes) < 8:
            self.join()

    @precondition(lambda self: self.link_up)
    @rule(data=st.data(), dropped=st.sampled_from([False] * 6 + [True]))
    def send(self, data: st.DataObject, dropped: bool) -> None:
        self.sequence += 1
        call = f"call{self.sequence}"
        self.open.add(call)
        self.liveness.sent(call, SERVER, REGION, self.now)
        members = [node for node in self.nodes if node.connected and not node.dead]
        if members and not dropped:
            self.deliver(data.draw(st.sampled_from(members)), ("call", call))

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        busy = [node for node in self.nodes if node.calls and node.running and not node.dead]
        if not busy:
            return
        node = data.draw(st.sampled_from(busy))
        call = data.draw(st.sampled_from(sorted(node.calls)))
        node.calls.discard(call)
        node.book.ended(f"{SCOPE}.{call}", self.now)
        if self.link_up and call in self.open:
            self.open.discard(call)
            self.ended.add(call)
            self.liveness.ended(call)

    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        node = self.draw(data, lambda node: not node.dead)
        if node is not None:
            node.dead, node.connected = True, False

    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        # One that was never announced to us may stop too, but not for as long as it takes to be forgotten:
        # that is the one thing that the promise of everybody known cannot cover (`wake_unknown`).
        node = self.draw(data, lambda node: node.running and not node.dead)
        if node is not None:
            node.running, node.silent_since = False, self.now

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        node = self.draw(data, lambda node: not node.running and not node.dead)
        if node is not None:
            self.wake(node)

    @rule(data=st.data())
    def broker_gives_up(self, data: st.DataObject) -> None:
        node = self.draw(
            data, lambda n: not n.running and not n.dead and n.connected and self.now - n.silent_since > 2.5
        )
        if node is not None:
            node.connected = False

    @rule(data=st.data())
    def blip(self, data: st.DataObject) -> None:
        """A node's connection is away for a moment: its subject answers 503, once."""
        node = self.draw(data, lambda n: n.running and not n.dead and self.now - n.back_at > 1)
        if node is not None:
            node.connected = False
            self.pass_time(0.15)
            node.connected = True
            node.back_at = self.now

    @rule(data=st.data())
    def leave_catalog(self, data: st.DataObject) -> None:
        """By expiry, by an announcement that came late, by an impatient census: it proves nothing."""
        node = self.draw(data, lambda node: node.id in self.catalog)
        if node is not None:
            self.publish(self.catalog - {node.id})
            self.liveness.node_left(node.id)

    @rule(data=st.data())
    def announce_again(self, data: st.DataObject) -> None:
        node = self.draw(data, lambda n: n.running and not n.dead and n.id not in self.catalog)
        if node is not None:
            self.announce(node)

    @precondition(lambda self: self.link_up)
    @rule()
    def lose_link(self) -> None:
        self.link_up = False
        self.liveness.link_lost(self.now)

    @precondition(lambda self: not self.link_up)
    @rule(silent=st.sets(st.integers(0, 7)))
    def regain_link(self, silent: frozenset[int] = frozenset()) -> None:
        self.link_up = True
        self.link_changed_at = self.now
        self.liveness.link_back(self.now)
        for number, node in enumerate(
            self.nodes
        ):  # whoever is back asks who is there; busy nodes do not answer
            if node.running and node.connected and number not in silent:
                self.announce(node)

    @rule(seconds=st.sampled_from([0.05, 0.3, 0.5, 1.0, 3.0, 8.0]))
    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(int(100 + seconds * 100)):
            due = self.liveness.next_tick(self.now)
            awake = [node for node in self.nodes if node.running and not node.dead]
            frames = [node.book.next_due(self.now) for node in awake]
            beats = [node.beat_at for node in awake if node.connected]
            upcoming = min([at for at in [due, *frames, *beats] if at is not None], default=end)
            self.now = max(self.now, min(upcoming, end))
            self.wake_unknown()
            if upcoming > end:
                self.now = end
                return
            self.run_nodes()
            self.tick()
            if upcoming == end:
                return
        raise AssertionError("it asks for ticks without end")

    @rule(seconds=st.sampled_from([1.5, 6.0, 30.0]))
    def stand_still(self, seconds: float) -> None:
        """Our own process is stopped; what the nodes say meanwhile waits in our socket."""
        self.wake_unknown(0.0)
        self.liveness.next_tick(self.now)
        self.now += seconds
        self.tick()
        self.run_nodes()

    # How the world works

    def wake(self, node: Node) -> None:
        node.running, node.back_at = True, self.now
        if not node.connected:
            node.connected = True
            self.announce(node)  # whoever connects announces itself before it takes calls
        waiting, node.inbox = node.inbox, []
        for message in waiting:
            self.handle(node, message)

    def wake_unknown(self, after_s: float = UNKNOWN_STOPPED_S) -> None:
        for node in self.nodes:
            is_stopped = not node.running and not node.dead and not node.known
            if is_stopped and self.now - node.silent_since >= after_s:
                self.wake(node)

    def draw(self, data, wanted) -> Node | None:  # type: ignore[no-untyped-def]
        found = [node for node in self.nodes if wanted(node)]
        return data.draw(st.sampled_from(found)) if found else None

    def announce(self, node: Node) -> None:
        if self.link_up:
            node.known = True
            self.publish(self.catalog | {node.id})

    def publish(self, catalog: set[NodeId]) -> None:
        self.catalog = set(catalog)
        self.liveness.instances(SERVER, REGION, frozenset(catalog))

    def deliver(self, node: Node, message: tuple) -> None:
        if node.running:
            self.handle(node, message)
        else:
            node.inbox.append(message)

    def handle(self, node: Node, message: tuple) -> None:
        match message:
            case ("call", call):
                if node.book.arrived(f"{SCOPE}.{call}", SCOPE, self.now, frames=True) == "new":
                    node.calls.add(call)
                    assert call not in self.ran, "delivered twice: the world is wrong"
                    self.ran[call] = node
                    assert self.lost.get(call, Lost("", "unknown", "gone", None)).delivered != "no", (
                        "it began after liveness had said that it never would"
                    )
            case ("alive", probe, calls):
                gone = node.book.alive(SCOPE, calls, self.now)
                if self.link_up:
                    self.liveness.alive_reply(node.id, gone, self.now, probe=probe)
            case ("whose", calls):
                have, done = node.book.whose(SCOPE, calls, self.now)
                if self.link_up:
                    self.liveness.whose_reply(node.id, have, done, calls, self.now)

    def run_nodes(self) -> None:
        for node in self.nodes:
            if node.running and not node.dead:
                if node.connected and self.now >= node.beat_at:
                    node.beat_at = self.now + BEAT_S
                    self.announce(node)
                for key in node.book.due_accepted(self.now):
                    if self.link_up and node.connected:
                        self.liveness.accepted(key.rsplit(".", 1)[1], node.id, self.now)
                for key in node.book.silent_calls(self.now):  # it cancels them: nobody seems to wait
                    node.calls.discard(key.rsplit(".", 1)[1])
                    node.book.ended(key, self.now)

    def tick(self) -> None:
        """What follows from the answers, which come at once, is told at once."""
        while actions := self.liveness.tick(self.now):
            self.act(actions)

    def act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Lost():
                    self.note_lost(action)
                case AskAlive(probe, node_id, calls):
                    node = next(node for node in self.nodes if node.id == node_id)
                    if node.connected:
                        self.deliver(node, ("alive", probe, calls))
                    else:
                        self.liveness.no_responders(probe, self.now)
                case AskWhose(probe, _, _, calls):
                    members = [node for node in self.nodes if node.connected]
                    for node in members:
                        self.deliver(node, ("whose", calls))
                    if not members:
                        self.liveness.no_responders(probe, self.now)

    # What must hold

    def note_lost(self, lost: Lost) -> None:
        if lost.call == "":
            node = next(node for node in self.nodes if node.id == lost.node)
            assert not node.connected or not node.running, "a node that answers was declared dead"
            self.publish(self.catalog - {node.id})
            return
        assert lost.call not in self.lost, "lost twice"
        assert lost.call not in self.ended, "lost after it had ended"
        self.open.discard(lost.call)
        self.lost[lost.call] = lost
        holder = self.ran.get(lost.call)
        if lost.delivered == "no":
            assert holder is None, "said not to have run, and it did"
        if holder is not None and lost.call in holder.calls and not holder.dead:
            assert not holder.running, "lost though its node has it and answers"
            assert lost.reason not in ("gone", "not_here", "nobody_has_it")
            if lost.reason == "node_stuck":
                # It was last heard before it fell silent: by one turn of questions, and by a blip.
                assert self.now - holder.silent_since >= CONFIG.stuck_s - 2 * CONFIG.ask_every_s

    @invariant()
    def counts_are_conserved(self) -> None:
        assert len(self.liveness) == len(self.open)

    def teardown(self) -> None:
        if not hasattr(self, "liveness"):
            return
        if not self.link_up:
            self.regain_link()
        self.pass_time(HONEST_S)
        for call in self.open:
            holder = self.ran.get(call)
            assert holder is not None, "nobody has it, and it is still waited for"
            assert call in holder.calls, "it has ended at its node, and is still waited for"
            assert not holder.dead, "its node is dead, and it is still waited for"
            assert holder.running, "its node is stuck, and it is still waited for"


World.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestWorld = World.TestCase


@given(
    known=st.integers(1, 3),
    waits=st.lists(st.sampled_from([0.1, 1.0, 5.0, 12.0, 20.0]), max_size=6),
    has_gap=st.booleans(),
    stopped_s=st.sampled_from([0.5, 3.0, 8.0, 14.0]),
)
@settings(max_examples=60, deadline=None)
def test_a_call_that_a_node_has_which_the_asker_never_heard_of_is_not_said_not_to_run(
    known: int, waits: list[float], has_gap: bool, stopped_s: float
) -> None:
    """M7.7: it joined before the asker heard announcements, and is too busy to answer any question."""
    world = World()
    world.begin([True] * known, 60 if has_gap else 0)
    if has_gap:
        world.lose_link()
    world.join(is_heard=False)
    if has_gap:
        world.regain_link(frozenset([known]))
    newcomer = world.nodes[-1]
    for wait_s in waits:
        world.pass_time(wait_s)
    newcomer.running, newcomer.silent_since = False, world.now
    world.liveness.sent("call", SERVER, REGION, world.now)
    world.open.add("call")
    world.deliver(newcomer, ("call", "call"))
    world.pass_time(stopped_s)
    world.wake(newcomer)  # asserts that nobody said that the call would never run
    world.teardown()
