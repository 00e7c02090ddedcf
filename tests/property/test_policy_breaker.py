"""A breaker on a fake clock: whatever happens in whatever order, its promises hold."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from longreach.policy.breaker import LOSSES, LOSSES_LAST_S, OPEN, PROBE_S, Breaker


class BreakerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 1000.0
        self.losses: list[float] = []  # since the last answer
        self.probe_at: float | None = None
        self.opened_at = 0.0

    @rule(seconds=st.sampled_from([0.001, 0.1, LOSSES_LAST_S, 1.0, PROBE_S, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(took_s=st.floats(0, 60))
    def a_call_is_answered(self, took_s: float) -> None:
        before = self.breaker.standing
        before_s = self.breaker.latency_s
        moved = self.breaker.answered(took_s)
        assert moved == (before != "closed")
        assert self.breaker.standing == "closed"
        assert min(took_s, before_s) <= self.breaker.latency_s <= max(took_s, before_s)
        assert self.breaker.latency_s >= took_s
        self.losses, self.probe_at = [], None

    @rule()
    def a_call_is_lost(self) -> None:
        before = self.breaker.standing
        self.losses.append(self.now)
        moved = self.breaker.lost(self.now, lambda: 0.0)
        assert moved == (before != self.breaker.standing)
        lasted = len(self.losses) >= LOSSES and self.now - self.losses[0] >= LOSSES_LAST_S
        expected = {"half_open": "open", "open": "open", "closed": "open" if lasted else "closed"}
        assert self.breaker.standing == expected[before]
        if moved:
            self.opened_at, self.probe_at = self.now, None

    @rule()
    def a_call_says_nothing(self) -> None:
        before = self.breaker.seen
        self.breaker.given_up()
        assert self.breaker.seen == before
        self.probe_at = None

    @rule()
    def somebody_looks_at_the_clock(self) -> None:
        before = self.breaker.standing
        moved = self.breaker.tick(self.now)
        assert moved == (before == "open" and self.now >= self.breaker.due_at)
        assert not moved or self.breaker.standing == "half_open"

    @rule()
    def somebody_announces_himself(self) -> None:
        before = self.breaker.standing
        assert self.breaker.hope(self.now) == (before == "open")
        assert self.breaker.standing != "open"

    @rule()
    def a_call_wants_the_route(self) -> None:
        may = self.breaker.probe(self.now)
        match self.breaker.standing:
            case "closed":
                assert may
            case "open":
                assert not may
            case _:
                free = self.probe_at is None or self.now >= self.probe_at + PROBE_S
                assert may == free
                self.probe_at = self.now if may else self.probe_at

    @invariant()
    def an_open_one_has_an_end(self) -> None:
        if self.breaker.standing == "open":
            assert self.breaker.due_at <= self.opened_at + OPEN.max_s


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
