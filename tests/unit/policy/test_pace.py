"""How long calls take decides who may wait, and when to ask again."""

from __future__ import annotations

import pytest

from longreach.policy.pace import MAX_RETRY_AFTER_S, Pace


def measured(*took_s: float, concurrency: int = 4) -> Pace:
    pace = Pace(concurrency)
    for each in took_s:
        pace.ended(each, 0.0)
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
    assert pace.fits(0.0, ahead=100, left_s=0.58)  # 101 quarters of 20 ms, its own, and a tenth
    assert not pace.fits(0.0, ahead=100, left_s=0.52)
    assert Pace(4).fits(0.0, ahead=10_000, left_s=0.001)  # nothing is known


def test_a_caller_waits_no_shorter_than_its_oldest_has():
    pace = measured(0.02, concurrency=4)
    assert pace.fits(0.0, ahead=1, left_s=1.0, waited_s=0.8)
    assert not pace.fits(0.0, ahead=1, left_s=1.0, waited_s=0.9)


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


def test_old_times_are_forgotten_so_that_new_ones_are_measured():
    pace = measured(10.0, concurrency=1)
    assert not pace.fits(40.0, ahead=0, left_s=5.0)
    assert pace.fits(40.1, ahead=0, left_s=5.0)
    pace.ended(0.02, 41.0)
    assert pace.service_s == 0.02
    assert not pace.fits(46.0, ahead=1000, left_s=5.0)
    assert pace.fits(46.1, ahead=1000, left_s=5.0)
