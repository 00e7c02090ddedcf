"""Whatever comes into a mailbox, in whatever order: nothing is lost, the flood gives way, turns are fair."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from longreach.policy.mailbox import Mailbox

SIZE = 6
OWNERS = ("a", "b", "c")


class Item(NamedTuple):
    key: str
    deadline: float


class Machine(RuleBasedStateMachine):
    """Against a model that is a list in order of arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox: Mailbox[Item] = Mailbox(SIZE)
        self.here: list[tuple[str, Item]] = []
        self.number = 0
        self.now = 0.0
        self.passed_over: Counter[str] = Counter()

    def lengths(self) -> Counter[str]:
        return Counter(owner for owner, _ in self.here)

    @rule(owner=st.sampled_from(OWNERS), lasts=st.sampled_from([1.0, 5.0, 50.0]))
    def put(self, owner: str, lasts: float) -> None:
        self.number += 1
        item = Item(f"k{self.number}", self.now + lasts)
        before, full = self.lengths(), len(self.here) == SIZE
        refused = self.mailbox.put(owner, item)
        if refused is not item:
            self.here.append((owner, item))
        if refused is None:
            assert not full
            return
        assert full
        if refused is item:
            assert before[owner] + 1 >= max(before.values())  # nobody has more
            return
        loser = next(who for who, each in self.here if each is refused)
        assert before[loser] == max(before.values()) > before[owner] + 1
        assert [each for who, each in self.here if who == loser][-1] is refused
        self.here.remove((loser, refused))

    @precondition(lambda self: self.here)
    @rule()
    def take(self) -> None:
        item = self.mailbox.take()
        owner = next(who for who, each in self.here if each is item)
        assert next(each for who, each in self.here if who == owner) is item  # its oldest
        waits = {who for who, _ in self.here}
        self.here.remove((owner, item))
        for other in waits - {owner}:
            self.passed_over[other] += 1
            assert self.passed_over[other] < len(OWNERS), "somebody had two turns before another had one"
        self.passed_over[owner] = 0

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        owner, item = data.draw(st.sampled_from(self.here))
        assert self.mailbox.remove(item.key) is item
        assert self.mailbox.remove(item.key) is None
        self.here.remove((owner, item))

    @rule(seconds=st.sampled_from([0.5, 3.0, 20.0]))
    def expire(self, seconds: float) -> None:
        self.now += seconds
        late = {item for _, item in self.here if item.deadline <= self.now}
        assert set(self.mailbox.drop_expired(self.now)) == late
        self.here = [(who, item) for who, item in self.here if item not in late]

    @rule(owner=st.sampled_from(OWNERS))
    def ahead_is_a_bound(self, owner: str) -> None:
        mine = self.lengths()[owner]
        least = sum(min(count, mine) for count in self.lengths().values())
        assert least <= self.mailbox.ahead(owner)
        if not mine:
            assert self.mailbox.ahead(owner) <= len(OWNERS)

    @invariant()
    def same(self) -> None:
        assert len(self.mailbox) == len(self.here) <= SIZE
        assert dict(self.mailbox.owners) == {item.key: who for who, item in self.here}
        waits = {who for who, _ in self.here}
        for gone in set(self.passed_over) - waits:
            del self.passed_over[gone]


TestMailbox = Machine.TestCase
TestMailbox.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
