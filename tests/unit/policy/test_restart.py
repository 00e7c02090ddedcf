from __future__ import annotations

import pytest

from longreach.policy.restart import Escalate, Ignore, RestartChildren, RestartWindow, decide_exit

CHILDREN = ("a", "b", "c", "d")


def decide(child="b", restart="permanent", kind="crash", strategy="one_for_one", window=None, now=0.0):
    window = window or RestartWindow(5, 10.0)
    return decide_exit(CHILDREN, child, restart, kind, strategy, window, now)


@pytest.mark.parametrize(
    ("strategy", "stop", "start"),
    [
        ("one_for_one", (), ("b",)),
        ("one_for_all", ("d", "c", "a"), ("a", "b", "c", "d")),
        ("rest_for_one", ("d", "c"), ("b", "c", "d")),
    ],
)
def test_strategies_stop_in_reverse_and_start_in_order(strategy, stop, start):
    assert decide(strategy=strategy) == RestartChildren(stop, start)


@pytest.mark.parametrize(
    ("restart", "kind", "restarted"),
    [
        ("permanent", "normal", True),
        ("permanent", "crash", True),
        ("permanent", "start_failed", True),
        ("permanent", "shutdown", False),
        ("transient", "normal", False),
        ("transient", "crash", True),
        ("transient", "start_failed", True),
        ("transient", "shutdown", False),
        ("temporary", "normal", False),
        ("temporary", "crash", False),
        ("temporary", "start_failed", False),
    ],
)
def test_who_is_restarted(restart, kind, restarted):
    assert isinstance(decide(restart=restart, kind=kind), RestartChildren if restarted else Ignore)


def test_too_many_restarts_in_the_period_escalate_and_name_the_child():
    window = RestartWindow(2, 10.0)
    assert isinstance(decide(window=window, now=0.0), RestartChildren)
    assert isinstance(decide(window=window, now=1.0), RestartChildren)
    verdict = decide(window=window, now=9.9)
    assert isinstance(verdict, Escalate)
    assert "b" in verdict.reason


def test_restarts_beyond_the_period_are_forgotten():
    window = RestartWindow(1, 10.0)
    assert not window.record(0.0)
    assert not window.record(10.0)
    assert window.record(19.9)


def test_what_is_not_restarted_does_not_count():
    window = RestartWindow(0, 10.0)
    assert isinstance(decide(restart="temporary", window=window), Ignore)
    assert isinstance(decide(window=window), Escalate)
