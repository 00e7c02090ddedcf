from __future__ import annotations

import math
from typing import Any

import pytest

from longreach.client.options import CallOptions
from longreach.errors import ConfigError


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan])
def test_a_timeout_is_more_than_nothing(timeout_s: float):
    with pytest.raises(ConfigError, match="timeout_s"):
        CallOptions(timeout_s=timeout_s)


@pytest.mark.parametrize(
    "wrong", [{"residency": frozenset()}, {"residency": frozenset({"eu"}), "region": "us"}], ids=repr
)
def test_residency_and_region_must_leave_somewhere_to_go(wrong: dict[str, Any]):
    with pytest.raises(ConfigError):
        CallOptions(**wrong)


def test_changes_are_checked_too():
    options = CallOptions(residency=frozenset({"eu"}), region="eu")
    with pytest.raises(ConfigError):
        options.but(region="us")
    with pytest.raises(ConfigError):
        options.but(timeout_s=0)


def test_lists_become_what_they_should_be_and_the_original_stays():
    options = CallOptions()
    changed = options.but(residency=["eu"], prefer=["us", "ap"], idempotent=False)
    assert changed.residency == frozenset({"eu"})
    assert changed.prefer == ("us", "ap")
    assert changed.idempotent is False
    assert options == CallOptions()
    assert changed.but(residency=None).residency is None
