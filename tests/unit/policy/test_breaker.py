from __future__ import annotations

from longreach.policy.breaker import LOSSES, LOSSES_LAST_S, OPEN, PROBE_S, Breaker


def tripped(now: float = 10.0) -> Breaker:
    breaker = Breaker()
    for _ in range(LOSSES):
        breaker.lost(now, lambda: 0.0)
    assert breaker.lost(now + LOSSES_LAST_S, lambda: 0.0)
    return breaker


def test_calls_lost_in_a_row_and_for_a_while_open_it():
    assert tripped().standing == "open"


def test_the_calls_of_one_dead_node_lost_at_one_moment_do_not():
    breaker = Breaker()
    for _ in range(64):
        assert not breaker.lost(1.0, lambda: 0.0)
    breaker.answered(0.001)
    assert not breaker.lost(2.0, lambda: 0.0)
    assert breaker.standing == "closed"


def test_it_is_tried_by_one_call_when_its_time_is_up():
    breaker = tripped(10.0)
    assert not breaker.probe(10.3)
    assert not breaker.tick(breaker.due_at - 0.01)
    assert breaker.tick(breaker.due_at)
    assert breaker.probe(20.0)
    assert not breaker.probe(20.1)
    assert breaker.probe(20.0 + PROBE_S)
    assert breaker.answered(0.1)
    assert breaker.standing == "closed"
    assert breaker.probe(30.0)
    assert breaker.probe(30.0)


def test_each_time_in_a_row_it_stays_open_longer():
    breaker = tripped(10.0)
    waits = []
    now = 20.0
    for _ in range(6):
        breaker.tick(breaker.due_at)
        now += 100
        assert breaker.lost(now, lambda: 0.0)
        waits.append(breaker.due_at - now)
    assert waits == [2.0, 4.0, 8.0, 10.0, 10.0, OPEN.max_s]
    breaker.answered(0.1)
    assert tripped().due_at - (10.0 + LOSSES_LAST_S) == OPEN.first_s


def test_a_slow_answer_is_believed_at_once_and_a_fast_one_slowly():
    breaker = Breaker()
    breaker.answered(0.1)
    breaker.answered(1.0)
    assert breaker.latency_s == 1.0
    breaker.answered(0.0)
    assert 0.85 < breaker.latency_s < 0.95
