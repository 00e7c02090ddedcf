"""The demo's books."""

from __future__ import annotations

import pytest

from longreach.cli.demo.tally import Answered, Felt, Latencies, Tally, latencies, percentile


def answered(
    began_s: float, ended_s: float, *retries: str, tool: str = "t.fast", node: str = "n1"
) -> Answered:
    return Answered(tool, tool == "t.slow", began_s, ended_s, "eu", node, retries)


def tally_of(*calls: Answered) -> Tally:
    tally = Tally()
    for call in calls:
        tally.began()
        tally.ended(call)
    return tally


def test_each_call_is_in_flight_until_it_ends() -> None:
    tally = Tally()
    for _ in range(3):
        tally.began()
    tally.ended(answered(0, 1))
    assert (tally.in_flight, tally.is_clean) == (2, False)
    tally.failed("it was lost")
    assert tally.in_flight == 1
    tally.ended(answered(0, 2))
    assert (tally.in_flight, tally.is_clean) == (0, False)


def test_only_the_right_results_in_the_right_place_are_clean() -> None:
    assert tally_of(answered(0, 1)).is_clean
    wrong, strayed = tally_of(answered(0, 1)), tally_of(answered(0, 1))
    wrong.wrong.append("2 + 2 = 5")
    strayed.strayed += 1
    assert not wrong.is_clean
    assert not strayed.is_clean


def test_calls_are_counted_where_they_ran() -> None:
    tally = tally_of(answered(0, 1), answered(0, 1, node="n2"), answered(1, 2))
    assert tally.per_node == {("eu", "n1"): 2, ("eu", "n2"): 1}


def test_recent_calls_newest_first() -> None:
    tally = tally_of(answered(0, 1), answered(0, 2), answered(0, 3))
    assert [call.ended_s for call in tally.recent(now_s=3.5, window_s=2.0)] == [3, 2]


def test_a_kill_is_felt_beyond_the_usual_time_of_the_same_tool() -> None:
    tally = tally_of(
        answered(0.0, 0.1),
        answered(1.0, 1.1),
        answered(0.0, 2.0, tool="t.slow"),
        answered(4.9, 6.0, "node_died"),  # 1.1 s instead of 0.1 s
        answered(4.0, 7.5, "node_died", tool="t.slow"),  # 3.5 s instead of 2 s
        answered(5.5, 5.6),
        answered(6.0, 9.0, "no_responders"),  # it had found no node at all
    )
    felt = tally.felt(killed_at_s=5.0)
    assert (felt.calls, felt.reasons) == (2, {"node_died": 2})
    assert tally.retries == {"node_died": 2, "no_responders": 1}
    assert felt.longest_s == pytest.approx(1.5)
    assert felt.longest_fast_s == pytest.approx(1.0)
    assert felt.until_s == pytest.approx(2.5)


def test_a_single_affected_call_is_enough() -> None:
    assert tally_of(answered(4.0, 6.0, "gone")).felt(killed_at_s=5.0).longest_s == 2.0


def test_a_kill_that_met_nobody_is_not_felt() -> None:
    assert tally_of(answered(0, 1)).felt(killed_at_s=5.0) == Felt()


def test_percentiles_are_values_that_were_measured() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert [percentile(ordered, each) for each in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 50) == 7
    assert latencies([answered(0, 3), answered(0, 1), answered(0, 2)]) == Latencies(2, 3, 3, 3)
    assert latencies([]) == Latencies()
