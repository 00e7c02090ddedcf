"""What is reported of paired measurements."""

from __future__ import annotations

import pytest
from benchmarks.compare import Comparison, Target, quartiles


def comparison(target: Target, *pairs: tuple[float, float]) -> Comparison:
    found = Comparison("speed", "calls/s", target)
    for ours, theirs in pairs:
        found.add(ours, theirs)
    return found


def test_the_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_the_medians() -> None:
    # The machine was busy in the third round, on both sides alike.
    found = comparison(Target(), (90, 100), (80, 100), (9, 10))
    assert found.ratios == pytest.approx([0.9, 0.8, 0.9])
    assert found.ratio == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("target", "ratio", "holds"),
    [
        (Target("at least", 0.85), 0.85, True),
        (Target("at least", 0.85), 0.84, False),
        (Target("at most", 1.15), 1.15, True),
        (Target("at most", 1.15), 1.16, False),
        (Target(), 99.0, True),
    ],
)
def test_targets(target: Target, ratio: float, holds: bool) -> None:
    assert comparison(target, (ratio, 1.0)).holds is holds


def test_the_spread_is_between_the_quartiles() -> None:
    assert quartiles([4.0, 1.0, 3.0, 2.0, 5.0]) == (2.0, 4.0)
    assert quartiles([7.0]) == (7.0, 7.0)


def test_everything_is_in_the_file() -> None:
    found = comparison(Target("at most", 2.0), (3.0, 2.0)).as_json()
    assert found["ratio"] == 1.5
    assert found["holds"] is True
    assert found["target"] == "at most 2"
    assert (found["longreach"], found["bare"]) == ([3.0], [2.0])
