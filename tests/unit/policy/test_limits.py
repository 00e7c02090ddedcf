"""What a caller may ask for: rates, counts, several limits at once, and how much is remembered."""

from __future__ import annotations

import pytest

from longreach.errors import ConfigError
from longreach.policy.limits import Buckets, Gate, Limited, Limiter, Limits


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_per_s": 0}, {"rate_per_s": -1.0}, {"rate_per_s": float("inf")}, {"fleet_rate_per_s": 0.0},
        {"concurrency": 0}, {"rate_per_s": 1.0, "burst": 0}, {"burst": 5}, {"burst": 5, "concurrency": 2},
    ],
)  # fmt: skip
def test_what_is_no_limit_is_refused(wrong):
    with pytest.raises(ConfigError):
        Limits(**wrong)


def test_a_rate_lets_a_burst_through_and_then_says_when():
    limiter = Limiter(Limits(rate_per_s=10, burst=3))
    assert [limiter.enter("a", 0.0) for _ in range(3)] == [None] * 3
    assert limiter.enter("a", 0.0) == Limited("rate", pytest.approx(0.1))
    assert limiter.enter("a", 0.05) == Limited("rate", pytest.approx(0.05))
    assert limiter.enter("a", 0.101) is None
    assert limiter.enter("b", 0.101) is None  # another's bucket is its own


def test_without_a_burst_one_second_s_worth_may_come_at_once_and_one_at_least():
    assert [Limiter(Limits(rate_per_s=2)).enter("a", 0.0) for _ in range(1)] == [None]
    slow = Limiter(Limits(rate_per_s=0.1))
    assert slow.enter("a", 0.0) is None
    assert slow.enter("a", 0.0) == Limited("rate", pytest.approx(10.0))


def test_calls_under_way_are_counted_until_they_end():
    limiter = Limiter(Limits(concurrency=2))
    assert [limiter.enter("a", 0.0), limiter.enter("a", 0.0)] == [None, None]
    refused = limiter.enter("a", 0.0)
    assert refused is not None
    assert refused.limit == "concurrency"
    assert refused.retry_after_s > 0
    limiter.leave("a")
    assert limiter.enter("a", 0.0) is None


def test_what_a_later_limit_refuses_costs_nothing_with_the_earlier_ones():
    node, tool = Limiter(Limits(rate_per_s=1, burst=2, concurrency=2)), Limiter(Limits(concurrency=1))
    gate = Gate([node, tool])
    assert gate.enter("a", 0.0) is None
    for _ in range(5):
        limited = gate.enter("a", 0.0)
        assert limited is not None
        assert limited.limit == "concurrency"
    gate.leave("a")
    assert gate.enter("a", 0.0) is None
    gate.forget("a")
    assert gate.enter("a", 0.0) is None


def test_a_refused_fleet_rate_costs_no_token_of_the_node_s():
    limiter = Limiter(Limits(rate_per_s=2, fleet_rate_per_s=0.5))
    assert limiter.enter("a", 0.0) is None
    assert limiter.enter("a", 0.0) == Limited("fleet_rate", pytest.approx(2.0))
    limiter.take_share(1.0)
    assert limiter.enter("a", 2.0) is None


def test_a_share_of_the_fleet_is_a_share_of_rate_and_burst():
    limiter = Limiter(Limits(fleet_rate_per_s=100, burst=40), share=0.25)
    assert sum(limiter.enter("a", 0.0) is None for _ in range(40)) == 10
    assert sum(limiter.enter("a", 1.0) is None for _ in range(40)) == 10  # 25 came, 10 had room
    limiter.take_share(0.5)
    assert sum(limiter.enter("a", 2.0) is None for _ in range(40)) == 20


def test_so_many_callers_are_remembered_and_the_one_longest_ago_is_forgotten():
    buckets = Buckets(1, 1, most=2)
    assert [buckets.take(who, 0.0) for who in "ab"] == [0.0, 0.0]
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("c", 0.0) == 0.0
    assert len(buckets) == 2
    assert buckets.take("a", 0.0) > 0  # b was forgotten


def test_a_clock_that_goes_back_gives_nothing():
    buckets = Buckets(1, 1)
    assert buckets.take("a", 100.0) == 0.0
    assert buckets.take("a", 50.0) == pytest.approx(1.0)
