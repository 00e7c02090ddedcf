"""Whatever comes into a mailbox, in whatever order: nothing is lost, the flood gives way, turns are fair."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from longreach.policy.mailbox import Mailbox

SIZE = 6
CONCURRENCY = 2
OWNERS = ("a", "b", "c")


class Item(NamedTuple):
    key: str
    deadline: float


class Machine(RuleBasedStateMachine):
    """Against a model that is a list in order of arrival.

    As in an actor, who waits does so because no more can begin; then nothing is spare.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mailbox: Mailbox[Item] = Mailbox(SIZE)
        self.here: list[tuple[str, Item]] = []
        self.coming: list[tuple[str, Item]] = []
        self.spare = CONCURRENCY
        self.number = 0
        self.now = 0.0
        self.passed_over: Counter[str] = Counter()

    def lengths(self) -> Counter[str]:
        return Counter(owner for owner, _ in self.here + self.coming)

    @precondition(lambda self: not self.spare)
    @rule(owner=st.sampled_from(OWNERS), lasts=st.sampled_from([1.0, 5.0, 50.0]))
    def put(self, owner: str, lasts: float) -> None:
        self.number += 1
        item = Item(f"k{self.number}", self.now + lasts)
        before, full = self.lengths(), len(self.here) + len(self.coming) >= SIZE
        assert self.mailbox.is_full == full
        self.entered(owner, item, self.here, before, full, self.mailbox.put(owner, item))

    @rule(owner=st.sampled_from(OWNERS))
    def reserve(self, owner: str) -> None:
        self.number += 1
        item = Item(f"k{self.number}", self.now)
        before, full = self.lengths(), len(self.here) + len(self.coming) >= SIZE + self.spare
        refused = self.mailbox.reserve(owner, item, self.spare)
        self.entered(owner, item, self.coming, before, full, refused)

    def entered(
        self,
        owner: str,
        item: Item,
        row: list[tuple[str, Item]],
        before: Counter[str],
        full: bool,
        refused: object,
    ) -> None:
        if refused is not item:
            row.append((owner, item))
        if refused is None:
            assert not full
            return
        assert full
        if refused is item:
            assert before[owner] + 1 >= max(before.values())  # nobody has more
            return
        loser = self.gave_way(refused)
        assert before[loser] == max(before.values()) > before[owner] + 1

    def gave_way(self, refused: object) -> str:
        """Whose it was: the newest, and what is not whole before what is."""
        loser = next(who for who, each in self.here + self.coming if each is refused)
        row = self.coming if any(who == loser for who, _ in self.coming) else self.here
        newest = [entry for entry in row if entry[0] == loser][-1]
        assert newest[1] is refused
        row.remove(newest)
        return loser

    @precondition(lambda self: self.coming)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        owner, item = data.draw(st.sampled_from(self.coming))
        assert self.mailbox.remove(item.key) is None
        assert self.mailbox.release(item.key) is item
        assert self.mailbox.release(item.key) is None
        self.coming.remove((owner, item))

    @precondition(lambda self: not self.here and self.spare < CONCURRENCY)
    @rule()
    def ends(self) -> None:
        self.spare += 1

    @precondition(lambda self: self.spare)
    @rule()
    def begins(self) -> None:
        self.spare -= 1
        before, over = self.lengths(), len(self.here) + len(self.coming) > SIZE + self.spare
        refused = self.mailbox.overflow(self.spare)
        assert (refused is not None) == over
        if refused is not None:
            assert before[self.gave_way(refused)] == max(before.values())

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
        """Of those who wait: what is not whole has no turn."""
        waits = Counter(who for who, _ in self.here)
        mine = waits[owner]
        least = sum(min(count, mine) for count in waits.values())
        assert least <= self.mailbox.ahead(owner)
        if not mine:
            assert self.mailbox.ahead(owner) <= len(OWNERS)

    @invariant()
    def same(self) -> None:
        assert len(self.mailbox) == len(self.here) <= SIZE
        assert len(self.here) + len(self.coming) <= SIZE + self.spare
        assert self.mailbox.coming == {item.key: who for who, item in self.coming}
        assert dict(self.mailbox.owners) == {item.key: who for who, item in self.here}
        waits = {who for who, _ in self.here}
        for gone in set(self.passed_over) - waits:
            del self.passed_over[gone]


TestMailbox = Machine.TestCase
TestMailbox.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
