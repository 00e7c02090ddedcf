"""When a canary is rolled back. Source: docs/binding.md 15 (M15.6, M15.7)."""

from __future__ import annotations

from typing import Any

import pytest

from longreach.policy.canary import RULES, CanaryWatch, Counts, bounds, is_worse
from longreach.wire.frames import Announcement, Stats

ME = ("n", "me", "docs")


def said(instance: str, calls: int, errors: int, version: str = "1.0.0", **more: Any) -> Announcement:
    return Announcement(
        server="docs", version=version, digest="d", region="eu", identity="n", instance=instance,
        state="up", seq=1, clock_ms=0, stats=Stats(calls, errors), **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("canary", "stable", "worse"),
    [
        ((20, 20), (20, 0), True),
        ((20, 10), (1000, 1), True),
        ((400, 40), (4000, 40), True),
        ((19, 19), (1000, 0), False),  # too few
        ((1000, 1000), (19, 0), False),
        ((20, 1), (1000, 1), False),  # chance
        ((100, 3), (1000, 10), False),
        ((1000, 500), (1000, 500), False),  # the tool is what fails
        ((1000, 0), (1000, 900), False),
        ((0, 0), (0, 0), False),
    ],
)
def test_it_is_worse_where_chance_does_not_explain_it(canary, stable, worse):
    assert is_worse(Counts(*canary), Counts(*stable)) is worse


def test_intervals_hold_the_share_and_shrink_with_calls():
    low, high = bounds(Counts(100, 10), 2.58)
    assert low < 0.1 < high
    narrower = bounds(Counts(10_000, 1000), 2.58)
    assert low < narrower[0] < 0.1 < narrower[1] < high
    assert bounds(Counts(0, 0), 2.58) == (0.0, 1.0)


def watch() -> CanaryWatch:
    made = CanaryWatch("docs", "2.0.0", ME)
    made.begin(Counts(5, 5))
    return made


def test_it_is_rolled_back_when_several_looks_find_it_worse():
    canary = watch()
    canary.heard(said("a", 1000, 0))
    canary.heard(said("a", 2000, 1))
    verdicts = [canary.look(Counts(55, 55)).verdict for _ in range(RULES.looks)]
    assert verdicts == ["keep"] * (RULES.looks - 1) + ["roll_back"]


def test_a_look_that_finds_it_no_worse_begins_anew():
    canary = watch()
    canary.heard(said("a", 1000, 0))
    canary.look(Counts(55, 55))
    canary.look(Counts(5, 5))
    assert canary.look(Counts(55, 55)).verdict == "keep"


def test_what_was_before_it_began_does_not_count():
    canary = watch()
    canary.heard(said("a", 1000, 900))
    canary.heard(said("a", 2000, 900))
    found = canary.look(Counts(30, 6))
    assert found.canary == Counts(25, 1)
    assert found.stable == Counts(1000, 0)


def test_until_there_are_enough_calls_what_the_others_did_before_is_the_measure():
    canary = watch()
    canary.heard(said("a", 1000, 3))
    assert canary.look(Counts(30, 6)).stable == Counts(1000, 3)


def test_nodes_of_its_own_version_are_counted_with_it_and_other_canaries_not_at_all():
    canary = watch()
    for calls in (100, 150):
        canary.heard(said("b", calls, calls - 100, version="2.0.0", canary=10))
        canary.heard(said("c", calls, calls, version="3.0.0", canary=10))
        canary.heard(said("me", calls, calls))
    found = canary.look(Counts(5, 5))
    assert found.canary == Counts(50, 50)
    assert found.stable == Counts(0, 0)


def test_what_says_nothing_of_its_calls_is_not_counted():
    """M11.3: a node of an older release announces no stats."""
    canary = watch()
    canary.heard(
        Announcement(
            server="docs", version="1.0.0", digest="d", region="eu", identity="n", instance="a",
            state="up", seq=1, clock_ms=0,
        )
    )  # fmt: skip
    assert canary.look(Counts(100, 100)).stable == Counts(0, 0)
