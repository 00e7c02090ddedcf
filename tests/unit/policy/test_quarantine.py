from __future__ import annotations

import pytest

from longreach.policy.backoff import Backoff
from longreach.policy.quarantine import Quarantine


def new() -> Quarantine:
    backoff = Backoff(first_s=1.0, factor=2.0, max_s=8.0, jitter=0.0)
    return Quarantine(threshold=2, calm_s=30.0, restart_s=0.05, backoff=backoff)


def crashes(quarantine: Quarantine, *times: float) -> list[tuple[str, float]]:
    return [tuple(quarantine.crashed(now, lambda: 0.0)) for now in times]  # type: ignore[misc]


def test_a_few_crashes_are_forgiven_then_it_is_out_for_longer_and_longer():
    assert crashes(new(), 0, 1, 2, 4, 7, 12, 21) == [
        ("restarting", 0.05),
        ("restarting", 0.05),
        ("quarantined", 1.0),
        ("quarantined", 2.0),
        ("quarantined", 4.0),
        ("quarantined", 8.0),
        ("quarantined", 8.0),
    ]


def test_a_calm_period_ends_the_row():
    quarantine = new()
    crashes(quarantine, 0, 1)
    assert crashes(quarantine, 31.5) == [("restarting", 0.05)]
    assert quarantine.streak == 1


def test_a_crash_within_the_calm_period_goes_on_with_the_row():
    quarantine = new()
    crashes(quarantine, 0, 1)
    assert crashes(quarantine, 30.9) == [("quarantined", 1.0)]


def test_time_in_quarantine_is_no_calm():
    quarantine = Quarantine(
        threshold=0, calm_s=30.0, backoff=Backoff(first_s=100.0, factor=1.0, max_s=100.0, jitter=0.0)
    )
    crashes(quarantine, 0)
    crashes(quarantine, 120.0)  # 20 s after it came back
    assert quarantine.streak == 2


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.99])
def test_jitter_never_makes_a_quarantine_shorter_than_its_share(chance):
    quarantine = Quarantine(threshold=0)
    assert 0.7 <= quarantine.crashed(0.0, lambda: chance).delay_s <= 1.0
