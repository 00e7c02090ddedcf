from __future__ import annotations

import ssl

import pytest

from longreach.errors import BrokerUnavailable, ConfigError, CredentialsRejected
from longreach.transport._attempt import translate
from longreach.transport._connector import MAX_WAIT_S, _backoff_s

URL = "nats://h:4222"


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (RuntimeError("nats: 'Authorization Violation'"), ""),
        (RuntimeError("nats: 'User Authentication Expired'"), ""),
        (ConnectionResetError("Connection lost"), "-ERR 'Authorization Violation'"),
    ],
)
def test_rejections_are_told_apart(error: Exception, complaint: str):
    found = translate(error, URL, complaint)
    assert isinstance(found, CredentialsRejected)
    assert URL in str(found)
    assert not found.retryable


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 4222)"), "nobody listens"),
        (TimeoutError(), "no answer"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "TLS"),
        (OSError("Name or service not known"), "name or service"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_what_else_fails_is_a_broker_that_is_unavailable(error: Exception, says: str):
    found = translate(error, URL)
    assert isinstance(found, BrokerUnavailable)
    assert says in str(found)
    assert URL in str(found)
    assert found.delivered == "no"


def test_our_own_errors_stay_what_they_are():
    error = ConfigError("authentication is misconfigured")
    assert translate(error, URL) is error


def test_the_wait_doubles_up_to_its_limit():
    first = [_backoff_s(1) for _ in range(20)]
    assert 0.05 <= min(first) <= max(first) <= 0.1
    assert len(set(first)) > 1, "without jitter a fleet comes back in step"
    assert 0.2 <= _backoff_s(3) <= 0.25
    assert _backoff_s(50) <= MAX_WAIT_S + 0.05
