"""The closed table of docs/binding.md 5, read by the client."""

from __future__ import annotations

import pytest

from longreach.client import endings
from longreach.errors import (
    BrokerUnavailable,
    CallTimeout,
    LongreachError,
    NotFound,
    NotStarted,
    OutcomeUnknown,
    PermissionDenied,
    RemoteError,
    ResidencyRefused,
    TooLarge,
)
from longreach.policy.retry import Failure
from longreach.wire.jsonrpc import RpcError


@pytest.mark.parametrize("reason", ["busy", "expired", "draining", "not_here", "crashed"])
def test_a_not_started_reply_is_no(reason: str):
    """M5.1, M5.4"""
    failure = endings.from_error(RpcError(-31900, "no", {"reason": reason, "retryAfterMs": 250}), "eu")
    assert failure == Failure("no", reason, "eu", 0.25)


def test_a_refusal_may_name_the_limit_and_the_node():
    """M5.1"""
    said = {"reason": "busy", "limit": "rate", "node": "n1.a1"}
    failure = endings.from_error(RpcError(-31900, "no", said), "eu")
    assert failure == Failure("no", "busy", "eu", limit="rate", node="n1.a1")
    error = endings.to_error(failure, "docs.do", timeout_s=1, residency=None)
    assert isinstance(error, NotStarted)
    assert error.limit == "rate"
    assert "you are beyond your limit (rate)" in str(error)


@pytest.mark.parametrize("said", [5, None, ["rate"], {}])
def test_a_limit_or_a_node_that_is_no_text_is_none(said: object):
    error = RpcError(-31900, "no", {"reason": "busy", "limit": said, "node": said})
    assert endings.from_error(error, "eu") == Failure("no", "busy", "eu")


@pytest.mark.parametrize("reason", ["cut_off", "deadline"])
def test_what_ran_in_part_is_unknown(reason: str):
    assert endings.from_error(RpcError(-32603, "x", {"reason": reason}), "eu") == Failure(
        "unknown", reason, "eu"
    )


@pytest.mark.parametrize("data", [None, {}, {"reason": "crashed_actor"}, {"reason": 7}, [], "busy"])
def test_any_other_error_is_yes(data: object):
    """M5.3"""
    error = endings.from_error(RpcError(-32603, "x", data), "eu")
    assert isinstance(error, RemoteError)
    assert (error.delivered, error.code, error.region) == ("yes", -32603, "eu")


@pytest.mark.parametrize(
    ("code", "again"), [(-32602, False), (-32600, False), (-32020, False), (-32603, True)]
)
def test_what_is_wrong_with_the_request_is_wrong_next_time_too(code: int, again: bool):
    error = endings.from_error(RpcError(code, "x"), "eu")
    assert isinstance(error, RemoteError)
    assert error.retryable is again


def test_what_the_link_refuses_was_not_sent():
    too_large = TooLarge("x")
    with pytest.raises(TooLarge):
        endings.from_refusal(too_large, "eu")
    assert endings.from_refusal(BrokerUnavailable("x"), "eu") == Failure("no", "link", "eu")
    assert endings.from_refusal(NotStarted("x", reason="busy"), "eu") == Failure("no", "busy", "eu")


@pytest.mark.parametrize(
    ("failure", "kind", "says"),
    [
        (Failure("unknown", "deadline"), CallTimeout, "may have run"),
        (Failure("no", "deadline"), CallTimeout, "did not answer"),
        (Failure("unknown", "node_died"), OutcomeUnknown, "died"),
        (Failure("unknown", "cut_off"), OutcomeUnknown, "drained"),
        (Failure("unknown", "a newer word"), OutcomeUnknown, "a newer word"),
        (Failure("unknown", "closed"), OutcomeUnknown, "closed"),
        (Failure("no", "closed"), BrokerUnavailable, "closed"),
        (Failure("no", "denied", "eu"), PermissionDenied, "longreach subject docs.do"),
        (Failure("no", "link"), BrokerUnavailable, "not sent"),
        (Failure("no", "no_responders"), NotFound, "no node offers docs.do"),
        (Failure("no", "busy", "eu", 0.5), NotStarted, "busy"),
        (Failure("no", "not_here"), NotStarted, "nothing ran"),
    ],
)
def test_the_error_says_what_the_failure_was(failure: Failure, kind: type[LongreachError], says: str):
    error = endings.to_error(failure, "docs.do", timeout_s=1, residency=None)
    assert type(error) is kind
    assert says in str(error)
    assert (error.delivered, error.reason, error.region) == (
        failure.delivered,
        failure.reason,
        failure.region,
    )


def test_residency_is_named_where_it_is_the_cause():
    failure = Failure("no", "no_responders")
    one = endings.to_error(failure, "docs.do", timeout_s=1, residency=frozenset({"eu"}))
    two = endings.to_error(failure, "docs.do", timeout_s=1, residency=frozenset({"eu", "ch"}))
    assert isinstance(one, ResidencyRefused)
    assert "region eu," in str(one)
    assert "regions ch, eu" in str(two)


def test_a_refusal_says_when_to_come_back():
    error = endings.to_error(Failure("no", "busy", "eu", 0.5), "docs.do", timeout_s=1, residency=None)
    assert isinstance(error, NotStarted)
    assert error.retry_after_s == 0.5
