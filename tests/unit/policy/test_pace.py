"""How long calls take decides who may wait, and when to ask again."""

from __future__ import annotations

import pytest

from longreach.policy.pace import MAX_RETRY_AFTER_S, Pace


def measured(*took_s: float, concurrency: int = 4) -> Pace:
    pace = Pace(concurrency)
    for each in took_s:
        pace.ended(each)
    return pace


def test_the_first_calls_count_alike():
    assert measured(1.0, 3.0, 2.0).service_s == pytest.approx(2.0)
    assert Pace(1).service_s is None


def test_the_average_follows_and_forgets():
    pace = measured(*[1.0] * 20, *[0.02] * 100)
    assert pace.service_s == pytest.approx(0.02, rel=0.1)


def test_one_slow_call_among_fast_ones_moves_it_little():
    pace = measured(*[0.02] * 40, 60.0)
    assert pace.service_s is not None
    assert pace.service_s < 0.04


def test_a_call_may_wait_if_it_can_end_in_time():
    pace = measured(0.02, concurrency=4)
    assert pace.fits(ahead=100, left_s=0.58)  # 101 quarters of 20 ms, its own, and a tenth
    assert not pace.fits(ahead=100, left_s=0.52)
    assert Pace(4).fits(ahead=10_000, left_s=0.001)  # nothing is known


def test_a_caller_waits_no_shorter_than_its_oldest_has():
    pace = measured(0.02, concurrency=4)
    assert pace.fits(ahead=1, left_s=1.0, waited_s=0.8)
    assert not pace.fits(ahead=1, left_s=1.0, waited_s=0.9)


def test_who_would_be_cut_off_is_late():
    pace = measured(0.02)
    assert pace.is_late(0.02)
    assert not pace.is_late(0.03)
    assert not Pace(1).is_late(0.001)


def test_who_is_refused_comes_back_when_half_of_those_that_wait_have_begun():
    pace = measured(0.02, concurrency=4)
    assert pace.retry_after_s(256, 0.0) == pytest.approx(0.64)
    assert pace.retry_after_s(0, 0.0) == 0.02


def test_before_anything_was_measured_the_oldest_that_runs_says_how_slow_it_is():
    assert Pace(1).retry_after_s(0, 0.0) == 0.05
    assert Pace(1).retry_after_s(4, 3.0) == 6.0


def test_nobody_is_sent_away_for_long():
    assert measured(3600.0).retry_after_s(256, 0.0) == MAX_RETRY_AFTER_S
