"""No violation makes a call `no` that may have run, whatever the order of sends, rights, accepts and answers.

The world knows which messages the broker refused. The asker learns it from violations alone, which come in
the order in which the broker made them, among answers that come in any order.
"""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from longreach.policy.denials import Denials

SUBJECTS = ("pay", "read")


class World(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.denials = Denials()
        self.allowed = dict.fromkeys(SUBJECTS, True)
        self.now = 0.0
        self.sent = 0
        self.subject: dict[str, str] = {}
        self.open: dict[str, None] = {}
        self.accepted: set[str] = set()
        self.to_broker: deque[str] = deque()
        self.violations: deque[str] = deque()
        self.running: set[str] = set()
        self.refused: set[str] = set()  # by the broker, in truth
        self.told_no: set[str] = set()
        self.was_cancelled = False

    @rule(subject=st.sampled_from(SUBJECTS))
    def send(self, subject: str) -> None:
        self.sent += 1
        token = str(self.sent)
        self.subject[token] = subject
        self.open[token] = None
        self.to_broker.append(token)

    @rule(subject=st.sampled_from(SUBJECTS))
    def revoke_or_grant(self, subject: str) -> None:
        self.allowed[subject] = not self.allowed[subject]

    @precondition(lambda self: self.to_broker)
    @rule()
    def broker_reads(self) -> None:
        token = self.to_broker.popleft()
        if self.allowed[self.subject[token]]:
            self.running.add(token)
        else:
            self.refused.add(token)
            self.violations.append(self.subject[token])

    @precondition(lambda self: self.violations)
    @rule(at_once=st.integers(1, 3))
    def violations_arrive(self, at_once: int) -> None:
        subject, count = self.violations.popleft(), 1
        while self.violations and self.violations[0] == subject and count < at_once:
            self.violations.popleft()
            count += 1
        waiting = [t for t in self.open if self.subject[t] == subject and t not in self.accepted]
        ruling = self.denials.violated(subject, count, waiting, self.now)
        assert set(ruling.in_doubt) <= set(waiting)
        self.end_as_no(ruling.refused)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.running)))
        if token in self.open:
            self.accepted.add(token)
            self.end_as_no(self.denials.cleared(token, self.subject[token]))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(token)
        if token in self.open:
            del self.open[token]
            self.end_as_no(self.denials.cleared(token, self.subject[token]))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.open)))
        del self.open[token]
        self.was_cancelled = True
        if token not in self.accepted:
            self.denials.given_up(token, self.subject[token], self.now)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def search_ends(self, data: st.DataObject) -> None:
        """Every instance says that it never had it: true of what the broker refused."""
        lost = sorted(self.refused & self.open.keys())
        if lost:
            token = data.draw(st.sampled_from(lost))
            del self.open[token]
            if not self.denials.never_ran(token, self.subject[token]):
                self.denials.given_up(token, self.subject[token], self.now)

    @rule(seconds=st.sampled_from([0.1, 5.0]))
    def time_passes(self, seconds: float) -> None:
        """What the broker has made arrives long before a violation is owed no more."""
        if not self.to_broker and not self.violations:
            self.now += seconds * 10
        else:
            self.now += 0.001

    def end_as_no(self, tokens: tuple[str, ...]) -> None:
        for token in tokens:
            assert token in self.refused, f"{token} is told `no`, and the broker has not refused it"
            assert token not in self.told_no
            self.told_no.add(token)
            del self.open[token]

    @invariant()
    def a_refused_call_is_told_no_where_no_other_can_be_meant(self) -> None:
        if self.to_broker or self.violations or self.was_cancelled:
            return
        for subject in SUBJECTS:
            unclear = {t for t in self.open if self.subject[t] == subject and t not in self.accepted}
            # where all that is open was refused, and nothing was given up, the count says so
            assert not unclear or unclear - self.refused


TestDenials = World.TestCase
TestDenials.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
