"""Whatever is taken into a room, in whatever order: it is bounded, fair, and all that gives way is told."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from longreach.policy.room import RESTING_S, Room

ONE, ALL = 100, 200
ASKERS = ("a", "b", "c", "d", "e")


class Machine(RuleBasedStateMachine):
    """Against a model that is a dictionary: key to (asker, size, when it last got on)."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Room(ONE, ALL)
        self.here: dict[str, tuple[str, int, float]] = {}
        self.number = 0
        self.now = 0.0

    def held(self, asker: str) -> int:
        return sum(size for who, size, _ in self.here.values() if who == asker)

    @rule(asker=st.sampled_from(ASKERS), size=st.integers(1, 120))
    def take(self, asker: str, size: int) -> None:
        self.number += 1
        key = f"k{self.number}"
        holds, used = self.held(asker) + size, sum(size for _, size, _ in self.here.values())
        askers = {who for who, _, _ in self.here.values()} | {asker}
        is_fair = holds * len(askers) <= ALL
        before = dict(self.here)
        gone = self.room.take(key, asker, size, self.now)
        if gone is None:
            assert holds > ONE or (used + size > ALL and not is_fair), "refused within its fair share"
            return
        assert holds <= ONE
        assert bool(gone) == (used + size > ALL)
        for each in gone:
            who, its_size, moved_at = self.here.pop(each)
            assert who != asker
            assert self.held(who) + its_size > holds, "one gave way that held no more"
            assert (self.held(who) + its_size) * len(askers) > ALL, "one gave way within its fair share"
            older = [key for key, (owner, _, at) in self.here.items() if owner == who and at < moved_at]
            assert older == [], "one went before another that rested longer"
            assert is_fair or self.now >= moved_at + RESTING_S
        if gone:
            last = before[gone[-1]][1]
            assert sum(size for _, size, _ in self.here.values()) + size + last > ALL, "more went than had to"
        self.here[key] = (asker, size, self.now)

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def give(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.here)))
        assert self.room.give(key)
        assert not self.room.give(key)
        del self.here[key]

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def moved(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.here)))
        self.room.moved(key, self.now)
        self.here[key] = (*self.here[key][:2], self.now)

    @precondition(lambda self: self.here)
    @rule(data=st.data(), size=st.integers(1, 120))
    def shrink(self, data: st.DataObject, size: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.here)))
        self.room.shrink(key, size)
        asker, before, at = self.here[key]
        self.here[key] = (asker, min(before, size), at)

    @rule(seconds=st.sampled_from([0.5, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def same(self) -> None:
        assert self.room.used == sum(size for _, size, _ in self.here.values()) <= ALL
        assert len(self.room) == len(self.here)
        for asker in ASKERS:
            assert self.room.held_by(asker) == self.held(asker) <= ONE
        for key, (_, _, at) in self.here.items():
            assert key in self.room
            assert self.room.rests_since(key) == at


TestRoom = Machine.TestCase
TestRoom.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
