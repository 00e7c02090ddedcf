"""How much may be under way at a gateway, and how often a principal may ask."""

from __future__ import annotations

import msgspec
import pytest

from longreach.errors import ConfigError
from longreach.policy.limits import Limiter
from longreach.policy.limits import Limits as CallerLimits
from longreach_gateway.answers import Refusal
from longreach_gateway.limits import Limits
from longreach_gateway.settings import GatewaySettings


def told(refusal: Refusal) -> dict[str, object]:
    error = msgspec.json.decode(refusal.body)["error"]
    return dict(error["data"])


def test_a_principal_s_requests_are_counted_until_they_end():
    limits = Limits(10, 1, 10)
    limits.enter("a", 1)
    with pytest.raises(Refusal) as refused:
        limits.enter("a", 2)
    assert refused.value.status == 429
    assert told(refused.value) == {
        "delivered": "no", "reason": "busy", "retryAfterMs": 1000, "limit": "concurrency",
    }  # fmt: skip
    limits.enter("b", 3)
    limits.leave("a")
    limits.enter("a", 4)


def test_a_principal_that_asks_too_often_is_told_when_to_come_back_and_keeps_no_place():
    now = 100.0
    rate = Limiter(CallerLimits(rate_per_s=0.5, burst=1))
    limits = Limits(10, 1, 10, rate, now=lambda: now)
    limits.enter("a", 1)
    limits.leave("a")
    with pytest.raises(Refusal) as refused:
        limits.enter("a", 2)
    assert refused.value.status == 429
    assert told(refused.value)["limit"] == "rate"
    assert told(refused.value)["retryAfterMs"] == 2000
    assert (b"retry-after", b"2") in refused.value.headers
    limits.enter("b", 3)  # another's rate is its own
    now += 2.0
    limits.enter("a", 4)


def test_those_that_are_nobody_share_one_rate():
    limits = Limits(10, 1, 10, Limiter(CallerLimits(rate_per_s=1, burst=2)), now=lambda: 0.0)
    limits.enter(None, 1)
    limits.enter(None, 2)
    with pytest.raises(Refusal):
        limits.enter(None, 3)


def test_a_burst_needs_a_rate():
    with pytest.raises(ConfigError, match="--rate-per-caller"):
        GatewaySettings(burst_per_caller=5)
    assert GatewaySettings(rate_per_caller=3.0, burst_per_caller=5).rate == CallerLimits(
        rate_per_s=3.0, burst=5
    )
    assert GatewaySettings().rate is None
