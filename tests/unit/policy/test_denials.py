"""What follows from a permission violation, which names no message. Source: docs/binding.md M5.5."""

from __future__ import annotations

from longreach.policy import denials
from longreach.policy.denials import Denials, Ruling

HERE = "lr.v1.default.eu.req.pay._._._.tools-call.pay"


def test_the_one_message_that_may_be_meant_was_refused() -> None:
    assert Denials().violated(HERE, 1, ["a"], 0.0) == Ruling(refused=("a",))


def test_with_several_nothing_is_known_of_any() -> None:
    ruling = Denials().violated(HERE, 1, ["a", "b"], 0.0)
    assert ruling.refused == ()
    assert sorted(ruling.in_doubt) == ["a", "b"]


def test_as_many_violations_as_messages_mean_all_of_them() -> None:
    found = Denials()
    assert found.violated(HERE, 2, ["a", "b", "c"], 0.0).refused == ()
    assert sorted(found.violated(HERE, 1, ["a", "b", "c"], 0.1).refused) == ["a", "b", "c"]
    assert found.is_idle


def test_a_message_that_was_accepted_leaves_the_other_as_the_one_that_is_meant() -> None:
    found = Denials()
    found.violated(HERE, 1, ["a", "b"], 0.0)
    assert found.cleared("a", HERE) == ("b",)


def test_a_message_that_was_cancelled_may_be_the_one_that_is_meant() -> None:
    found = Denials()
    found.given_up("a", HERE, 0.0)
    assert found.violated(HERE, 1, ["b"], 0.1) == Ruling(in_doubt=("b",))
    assert found.violated(HERE, 1, ["b"], 0.2) == Ruling(refused=("b",))


def test_a_message_that_was_cancelled_while_in_doubt_may_still_be_the_one_that_is_meant() -> None:
    found = Denials()
    found.violated(HERE, 1, ["a", "b"], 0.0)
    found.given_up("a", HERE, 0.1)
    assert found.violated(HERE, 0, ["b"], 0.2).refused == ()
    assert found.violated(HERE, 1, ["b"], 0.2).refused == ("b",)


def test_a_message_that_was_cancelled_long_ago_is_meant_no_more() -> None:
    found = Denials()
    found.given_up("a", HERE, 0.0)
    assert found.violated(HERE, 1, ["b"], denials.OWED_S).refused == ("b",)


def test_a_message_on_another_subject_is_not_meant() -> None:
    found = Denials()
    found.given_up("a", "somewhere.else", 0.0)
    assert found.violated(HERE, 1, ["b"], 0.1).refused == ("b",)


def test_a_violation_on_a_subject_without_calls_decides_nothing() -> None:
    found = Denials()
    assert found.violated("lr.v1.default.eu.all.pay._._.whose", 1, [], 0.0) == Ruling()
    assert found.is_idle


def test_a_violation_whose_message_nobody_waits_for_is_not_held_against_a_later_one() -> None:
    found = Denials()
    found.given_up("a", HERE, 0.0)
    assert found.violated(HERE, 1, [], 0.1) == Ruling()  # it was a's
    assert found.violated(HERE, 1, ["b"], 0.2).refused == ("b",)


def test_what_was_in_doubt_and_never_ran_takes_one_violation_with_it() -> None:
    found = Denials()
    found.violated(HERE, 1, ["a", "b"], 0.0)
    assert found.never_ran("a", HERE)
    assert found.violated(HERE, 0, ["b"], 0.1).refused == ()
    assert not found.never_ran("a", HERE)


def test_with_more_messages_than_are_remembered_no_count_proves_anything(monkeypatch) -> None:
    monkeypatch.setattr(denials, "MAX_OWED", 2)
    found = Denials()
    for token in "abc":
        found.given_up(token, HERE, 0.0)
    assert found.violated(HERE, 3, ["d"], 1.0).refused == ()  # one of a, b, c, d is not counted
    assert found.cleared("d", HERE) == ()
    assert found.violated(HERE, 1, ["e"], denials.OWED_S + 1).refused == ("e",)


def test_a_violation_that_comes_after_the_search_is_not_taken_for_that_of_a_later_message():
    """Found by the state machine: two were refused, one violation had come, and both searches had ended."""
    denials = Denials()
    assert denials.violated("pay", 1, ["a", "b"], 0.0).refused == ()
    assert denials.never_ran("a", "pay")
    assert not denials.never_ran("b", "pay")
    denials.given_up("b", "pay", 0.0)
    assert denials.violated("pay", 1, ["later"], 0.0).refused == ()
