"""The closed table of endings, read. Source: docs/binding.md 5 (M5.3, M5.4)."""

from __future__ import annotations

import pytest

from longreach.policy.hints import Hints
from longreach.policy.retry import (
    ABSENT_S,
    UNLISTED_S,
    Again,
    Failure,
    RetryBudget,
    RetryState,
    Returns,
    Stop,
    decide,
)
from longreach.policy.route import Candidate

EU, US = Candidate("eu", "_", "home"), Candidate("us", "_", "offers it")
BUSY = Failure("no", "busy", "eu")
DIED = Failure("unknown", "node_died", "eu")


def after(*failures: Failure, state: RetryState | None = None, now: float = 0.0, **more):
    """The decision after the last of these failures, each of which came at `now`."""
    given = {
        "hints": Hints(),
        "caller_said": None,
        "candidates": (EU, US),
        "budget": RetryBudget(),
        "now": now,
        "deadline": 30.0,
        "random": lambda: 0.0,
        **more,
    }
    state = state or RetryState()
    verdict = None
    for failure in failures:
        state.failed(failure, now)
        verdict = decide(failure, state, **given)
    return verdict


# What did not begin


def test_elsewhere_first_and_at_once():
    assert after(BUSY) == Again(US, 0.0)


def test_the_same_region_again_soon_and_then_later():
    state, delays = RetryState(), []
    for _ in range(10):
        verdict = after(BUSY, state=state, candidates=(EU,))
        assert verdict.candidate == EU
        delays.append(verdict.delay_s)
    assert delays[:3] == pytest.approx([0.01, 0.02, 0.04])
    assert delays[-1] == 0.5
    assert delays == sorted(delays)


def test_regions_take_turns():
    state = RetryState()
    first = after(BUSY, state=state)
    second = after(Failure("no", "busy", "us"), state=state)
    assert (first.candidate, second.candidate) == (US, EU)
    assert second.delay_s > 0


def test_a_region_is_not_asked_before_it_said():
    assert after(BUSY._replace(retry_after_s=2.0), candidates=(EU,)).delay_s == 2.0


def test_a_wait_that_was_asked_for_is_doubled_at_each_refusal_and_spread_upwards():
    state, busy = RetryState(), BUSY._replace(retry_after_s=1.0)
    waits = [after(busy, state=state, candidates=(EU,)).delay_s for _ in range(3)]
    assert waits == pytest.approx([1.0, 2.0, 4.0])
    assert after(busy, candidates=(EU,), random=lambda: 0.999).delay_s == pytest.approx(1.5, abs=0.01)


def test_a_refused_call_tries_less_and_less_until_its_deadline():
    state, now, tries = RetryState(), 0.0, 0
    while isinstance(
        verdict := after(
            BUSY._replace(retry_after_s=0.5), state=state, candidates=(EU,), now=now, deadline=60.0
        ),
        Again,
    ):
        tries += 1
        now += verdict.delay_s
    assert verdict.failure.reason == "busy"
    assert tries == 6


def test_what_one_region_said_does_not_bind_another():
    state = RetryState()
    after(BUSY._replace(retry_after_s=3.0), state=state)
    verdict = after(Failure("no", "busy", "us"), state=state, now=1.0)
    assert verdict == Again(EU, 2.0)
    verdict = after(Failure("no", "busy", "eu"), state=state, now=3.0)
    assert verdict.candidate == US
    assert verdict.delay_s < 0.1


def test_no_delay_passes_the_deadline():
    late = BUSY._replace(retry_after_s=31.0)
    assert after(late, candidates=(EU,)) == Stop(late)
    assert after(BUSY, now=30.0) == Stop(BUSY)


def test_a_region_that_forbids_it_is_not_asked_again():
    denied = Failure("no", "denied", "eu")
    state = RetryState()
    assert after(denied, state=state).candidate == US
    for _ in range(5):
        assert after(Failure("no", "busy", "us"), state=state).candidate == US
    assert after(Failure("no", "denied", "us"), state=state) == Stop(Failure("no", "denied", "us"))


# Absence


def test_no_responders_is_waited_out_for_a_while_and_counted_from_the_first():
    state, absent = RetryState(), Failure("no", "no_responders", "eu")
    assert isinstance(after(absent, state=state, candidates=(EU,), now=1.0), Again)
    assert isinstance(after(absent, state=state, candidates=(EU,), now=0.9 + ABSENT_S), Again)
    assert after(absent, state=state, candidates=(EU,), now=1.0 + ABSENT_S) == Stop(absent)


def test_what_nobody_announces_is_given_up_sooner():
    state, absent = RetryState(), Failure("no", "no_responders", None)
    first = after(absent, state=state, candidates=())
    assert first.candidate is None
    assert first.delay_s > 0
    assert after(absent, state=state, candidates=(), now=UNLISTED_S) == Stop(absent)


def test_any_other_answer_shows_that_somebody_is_there():
    state, absent = RetryState(), Failure("no", "no_responders", "eu")
    after(absent, state=state, candidates=(EU,), now=0.0)
    after(BUSY, state=state, candidates=(EU,), now=4.0)
    assert isinstance(after(absent, state=state, candidates=(EU,), now=6.0), Again)


# What may have begun


def test_what_has_run_is_never_run_again():
    ran = Failure("yes", "crashed_actor", "eu")
    assert after(ran, hints=Hints(True, True), caller_said=True) == Stop(ran)


@pytest.mark.parametrize(
    ("hints", "caller_said", "runs_again"),
    [
        (Hints(), None, False),
        (Hints(read_only=True), None, True),
        (Hints(idempotent=True), None, True),
        (Hints(), True, True),
        (Hints(), False, False),
        (Hints(True, True), False, False),
    ],
)
def test_who_may_say_that_it_may_run_again(hints, caller_said, runs_again):
    verdict = after(DIED, hints=hints, caller_said=caller_said)
    assert verdict == (Again(US, 0.0) if runs_again else Stop(DIED))


def test_what_everybody_denies_is_sent_again_without_counting_as_the_one_run():
    """M7.7: a young mesh believes nobody's "no", and where a second run is allowed it need not."""
    nobody = Failure("unknown", "nobody_has_it", "eu")
    assert isinstance(after(nobody), Stop)
    state, reader = RetryState(), Hints(read_only=True)
    assert isinstance(after(nobody, DIED, nobody, state=state, hints=reader), Again)
    assert state.reruns == 1
    assert isinstance(after(DIED, state=state, hints=reader), Stop)
    assert isinstance(after(nobody, hints=reader, caller_said=False), Stop)


def test_at_most_once():
    state = RetryState()
    assert isinstance(after(DIED, state=state, caller_said=True), Again)
    assert isinstance(after(DIED, state=state, caller_said=True), Stop)


def test_a_refusal_between_does_not_earn_another_run():
    state = RetryState()
    assert isinstance(after(DIED, state=state, caller_said=True), Again)
    assert isinstance(after(BUSY, state=state, caller_said=True), Again)
    assert isinstance(after(DIED, state=state, caller_said=True), Stop)


def test_a_call_that_may_have_run_ends_as_such_though_its_re_run_was_refused():
    state = RetryState()
    after(DIED, state=state, caller_said=True)
    assert after(BUSY, state=state, caller_said=True, now=30.0) == Stop(DIED)


def test_nowhere_to_go_ends_it_and_costs_no_budget():
    budget = RetryBudget()
    assert after(DIED, caller_said=True, candidates=(), budget=budget) == Stop(DIED)
    assert budget.left == 256


def test_the_deadline_is_the_end_even_of_what_may_run_again():
    late = Failure("unknown", "deadline", "eu")
    assert after(late, hints=Hints(True, True), caller_said=True) == Stop(late)


# The budget


def test_the_budget_covers_a_burst_and_then_a_share_of_the_calls():
    budget = RetryBudget(burst=3, per_call=0.5, per_s=0)
    assert [budget.take(100.0) for _ in range(4)] == [True, True, True, False]
    budget.began()
    assert not budget.take(100.0)
    budget.began()
    assert budget.take(100.0)


def test_the_budget_never_exceeds_its_burst():
    budget = RetryBudget(burst=2, per_call=1.0, per_s=0)
    for _ in range(10):
        budget.began()
    assert [budget.take(100.0) for _ in range(3)] == [True, True, False]


def test_without_budget_it_ends():
    assert after(DIED, caller_said=True, budget=RetryBudget(burst=0)) == Stop(DIED)


def test_the_budget_covers_a_node_lost_every_few_seconds():
    """Time earns re-runs: a rolling loss of nodes with slow calls on them fails no read-only call."""
    budget = RetryBudget()
    for round_ in range(20):
        assert all(budget.take(100.0 + 4.0 * round_) for _ in range(64))
    assert not all(budget.take(100.0 + 80.0) for _ in range(300))


# Coming back to what is busy


def come_back(returns: Returns, seconds: float, per_s: float, taken_share: float) -> float:
    """So many come back each second, and this share of them is taken; how many did come back a second."""
    came, taken, now = 0, 0, 0.0
    while now < seconds:
        if returns.take(now):
            came += 1
            if taken < came * taken_share:
                taken += 1
                returns.taken()
        now += 1 / per_s
    return came / seconds


def test_where_most_are_taken_all_may_come_back():
    assert come_back(Returns(), 60, 1000, taken_share=0.7) == pytest.approx(1000, rel=0.01)


def test_where_most_are_refused_again_only_a_trickle_comes_back():
    assert come_back(Returns(burst=10), 60, 1000, taken_share=0.1) == pytest.approx(20, rel=0.1)
    assert come_back(Returns(burst=10), 60, 1000, taken_share=0.0) == pytest.approx(16, rel=0.1)


def test_when_there_is_room_again_the_trickle_grows_by_itself():
    returns = Returns()
    come_back(returns, 20, 1000, taken_share=0.0)
    assert not returns.take(20.0)
    assert come_back(returns, 30, 1000, taken_share=1.0) > 900
