"""A node's share of what the fleet may do."""

from __future__ import annotations

import pytest

from longreach.policy.fleet import FORGOTTEN_S, Fleet


def test_alone_everything_is_its_own():
    assert Fleet("me", 0.0).share(100.0) == 1.0


def test_those_that_are_heard_share_evenly_until_they_say_what_they_do():
    fleet = Fleet("me", 0.0)
    assert fleet.heard("other", 0.0)
    assert not fleet.heard("other", 1.0)
    assert fleet.share(1.0) == 0.5
    fleet.gone("other")
    assert fleet.share(1.0) == 1.0


def test_half_goes_where_the_traffic_is():
    fleet = Fleet("me", 0.0)
    for now, mine, others in ((0.0, 0, 0), (12.0, 900, 100)):
        fleet.heard("me", now, mine)
        fleet.heard("other", now, others)
    assert fleet.share(12.0) == pytest.approx(0.25 + 0.45)


def test_a_node_that_was_started_again_counts_from_nothing():
    fleet = Fleet("me", 0.0)
    for now, mine, others in ((0.0, 0, 500), (12.0, 100, 0)):
        fleet.heard("me", now, mine)
        fleet.heard("other", now, others)
    assert fleet.share(12.0) == pytest.approx(0.75)


def test_who_is_silent_for_long_is_forgotten_and_oneself_is_not():
    fleet = Fleet("me", 0.0)
    fleet.heard("other", 0.0)
    assert fleet.share(FORGOTTEN_S) == 0.5
    assert fleet.share(FORGOTTEN_S + 1) == 1.0
    fleet.gone("me")
    assert len(fleet) == 1


def test_two_announcements_in_a_row_say_nothing_of_a_rate():
    fleet = Fleet("me", 0.0)
    for now, mine in ((0.0, 0), (12.0, 120), (12.01, 121)):
        fleet.heard("me", now, mine)
        fleet.heard("other", now, mine)
    assert fleet.share(12.01) == 0.5
