from __future__ import annotations

import pytest

from longreach.errors import ConfigError
from longreach.policy.backoff import Backoff


def test_each_wait_is_longer_until_the_longest():
    backoff = Backoff(first_s=0.1, factor=2.0, max_s=0.5, jitter=0.0)
    waits = [backoff.delay(attempt, lambda: 0.9) for attempt in (1, 2, 3, 4, 5)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])


def test_jitter_takes_away_its_share_and_no_more():
    backoff = Backoff(first_s=1.0, factor=1.0, max_s=1.0, jitter=0.25)
    assert backoff.delay(1, lambda: 0.0) == 1.0
    assert backoff.delay(1, lambda: 0.999999) == pytest.approx(0.75, abs=1e-5)


def test_a_huge_attempt_is_no_overflow():
    assert Backoff().delay(1_000_000, lambda: 0.0) == Backoff().max_s


@pytest.mark.parametrize(
    "wrong",
    [{"first_s": 0.0}, {"first_s": 2.0, "max_s": 1.0}, {"factor": 0.5}, {"jitter": 1.1}, {"jitter": -0.1}],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        Backoff(**wrong)
