from __future__ import annotations

import pytest

from longreach.errors import ConfigError
from longreach.policy.journal import Diverged, Entry, Journal

STEP = Entry("s", "step", True, b"", b"1")
ASKED = Entry("a", "ask", True, b"d")
BESIDE = Entry("b", "step", False, b"", b"2")


def test_what_is_new_is_unknown_until_it_is_remembered():
    journal = Journal()
    assert journal.recall("s", "step") is None
    journal.remember(STEP)
    assert journal.entries == [STEP]
    assert journal.left_over() == []
    assert journal.is_seen("s")


def test_what_was_done_is_recalled():
    journal = Journal([STEP, ASKED])
    assert journal.recall("s", "step") == STEP
    assert journal.left_over() == ["a"]
    assert journal.recall("a", "ask", b"d") == ASKED
    assert journal.left_over() == []


def test_answers_are_taken_for_open_questions_only():
    journal = Journal([STEP, ASKED])
    for key in ("s", "a", "x"):
        journal.answer(key, b"9")
    journal.answer("a", b"10")
    assert [entry.value for entry in journal.entries] == [b"1", b"9"]


@pytest.mark.parametrize(
    ("key", "kind", "digest"),
    [("new", "step", b""), ("a", "ask", b"d"), ("s", "ask", b"")],
)
def test_in_its_own_task_a_handler_keeps_the_order(key: str, kind: str, digest: bytes):
    with pytest.raises(Diverged):
        Journal([STEP, ASKED]).recall(key, kind, digest)  # type: ignore[arg-type]


def test_in_tasks_of_its_making_it_need_not():
    journal = Journal([STEP, BESIDE, ASKED])
    assert journal.recall("new", "step", ordered=False) is None
    assert journal.recall("a", "ask", b"d", ordered=False) == ASKED
    assert journal.recall("b", "step", ordered=True) == BESIDE
    assert journal.recall("s", "step") == STEP


def test_another_question_is_no_answered_one():
    with pytest.raises(Diverged, match="another question"):
        Journal([ASKED]).recall("a", "ask", b"e")


def test_a_key_is_used_once():
    journal = Journal()
    journal.recall("s", "step")
    with pytest.raises(ConfigError, match="was used before in this call"):
        journal.recall("s", "step")


def test_who_goes_its_own_way_is_let_go():
    journal = Journal([STEP, ASKED], strict=False)
    assert journal.recall("new", "step") is None
    assert journal.left_over() == []
    assert journal.recall("s", "step") == STEP
