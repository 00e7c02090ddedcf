"""Which ranges are asked for, and how much is held. Source: docs/binding.md 16."""

from __future__ import annotations

import pytest

from longreach.policy.parts import (
    AGAIN_S,
    FIRST_BYTES,
    LEAST_BYTES,
    MOST_BYTES,
    MOST_RANGES,
    Window,
)


def transfer(window: Window, took_s: float, limit: int = MOST_BYTES) -> tuple[int, int]:
    """Fetch all of it, each range in `took_s`; (rounds, the most bytes that were on their way)."""
    now, rounds, most = 0.0, 0, 0
    pending = list(window.ask(now))
    while not window.is_whole:
        most = max(most, sum(each.size for each in pending))
        now += took_s
        for each in pending:
            window.came(each.at, min(each.size, limit), now)
        pending = list(window.ask(now))
        rounds += 1
        assert rounds < 10_000
    return rounds, most


@pytest.mark.parametrize("size", [1, FIRST_BYTES, FIRST_BYTES + 1, 10_000_000])
@pytest.mark.parametrize("took_s", [0.001, 0.5, 3.0])
def test_all_of_it_comes_and_never_more_than_a_window_is_on_its_way(size: int, took_s: float):
    """M16.5"""
    window = Window(size, 0, 0.0)
    _, most = transfer(window, took_s)
    assert window.have == size
    assert most <= MOST_BYTES * MOST_RANGES


def test_a_quick_link_is_given_more_and_a_slow_one_less():
    quick, slow = Window(50_000_000, 0, 0.0), Window(50_000_000, 0, 0.0)
    assert transfer(quick, 0.01)[1] == MOST_BYTES * MOST_RANGES
    now = 0.0
    for _ in range(6):
        now += 1.5
        for each in slow.ask(now - 1.5):
            slow.came(each.at, each.size, now)
    assert [each.size for each in slow.ask(now)] == [LEAST_BYTES, LEAST_BYTES]


def test_what_does_not_come_is_asked_for_again_from_where_it_broke_off():
    """M16.5"""
    window = Window(1_000_000, 0, 0.0)
    (first,) = window.ask(0.0)
    assert window.came(first.at, first.size, 0.1)
    second, third = window.ask(0.1)
    assert not window.came(third.at, third.size, 0.2)  # the one before it was lost
    assert window.ask(0.2) == []
    assert window.ask(window.due)[0].at == second.at
    assert window.due > 0.1 + 2 * AGAIN_S  # less often, the longer it takes


def test_what_comes_twice_or_unasked_counts_once():
    window = Window(100_000, 0, 0.0)
    assert not window.came(0, 10, 0.0)
    (first,) = window.ask(0.0)
    assert window.came(0, first.size, 0.1)
    assert not window.came(0, first.size, 0.1)
    assert window.have == first.size


@pytest.mark.parametrize("size", [0, -1, 100_001])
def test_a_part_of_a_wrong_size_is_none(size: int):
    window = Window(100_000, 0, 0.0)
    window.ask(0.0)
    assert not window.came(0, size, 0.1)
    assert window.have == 0


def test_a_sender_whose_messages_hold_less_sets_the_size():
    window = Window(1_000_000, 0, 0.0)
    assert transfer(window, 0.01, limit=3000)[0] > 1_000_000 // 3000 // MOST_RANGES
    assert window.is_whole


def test_what_came_with_the_offer_is_not_asked_for():
    assert Window(100, 100, 0.0).is_whole
    assert Window(100, 40, 0.0).ask(0.0) == [(40, 60)]
