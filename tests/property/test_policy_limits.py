"""However calls come, a bucket lets through what it says, and two callers never spend each other's tokens."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from longreach.policy.fleet import Fleet
from longreach.policy.limits import Gate, Limiter, Limits

STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 2), st.booleans()), max_size=200)


@given(steps=STEPS, rate=st.floats(0.1, 50), burst=st.integers(1, 10), most=st.integers(1, 5))
def test_no_more_than_the_rate_and_the_burst_and_no_more_at_once(steps, rate, burst, most):
    gate = Gate([Limiter(Limits(rate_per_s=rate, burst=burst)), Limiter(Limits(concurrency=most))])
    now, passed, open_ = 0.0, Counter(), Counter()
    for caller, wait_s, ends in steps:
        now += wait_s
        if ends and open_[caller]:
            gate.leave(caller)
            open_[caller] -= 1
        limited = gate.enter(caller, now)
        if limited is None:
            passed[caller] += 1
            open_[caller] += 1
            assert open_[caller] <= most
        else:
            assert limited.retry_after_s > 0
            if limited.limit == "concurrency":
                assert open_[caller] == most
        assert passed[caller] <= burst + rate * now + 1e-6


@given(rate=st.floats(0.5, 100), burst=st.integers(1, 5), times=st.integers(1, 50))
def test_who_comes_back_when_told_is_let_in(rate, burst, times):
    limiter, now = Limiter(Limits(rate_per_s=rate, burst=burst)), 0.0
    for _ in range(times):
        limited = limiter.enter("a", now)
        if limited is not None:
            now += limited.retry_after_s + 1e-9
            assert limiter.enter("a", now) is None


@given(
    nodes=st.integers(1, 6),
    beats=st.lists(st.lists(st.integers(0, 1000), min_size=6, max_size=6), max_size=6),
    silent=st.booleans(),
)
def test_shares_that_hear_the_same_add_up_to_one(nodes, beats, silent):
    names = [f"n{number}" for number in range(nodes)]
    fleets = {name: Fleet(name, 0.0) for name in names}
    calls, now = [0] * nodes, 0.0
    for fleet in fleets.values():
        for name in names:
            fleet.heard(name, now, None if silent else 0)
    for beat in beats:
        now += 12
        for number, name in enumerate(names):
            calls[number] += beat[number]
            for fleet in fleets.values():
                assert not fleet.heard(name, now, None if silent else calls[number])
        shares = [fleets[name].share(now) for name in names]
        assert abs(sum(shares) - 1) < 1e-9
        assert all(share >= 0.5 / nodes for share in shares)  # who was idle can begin at once
