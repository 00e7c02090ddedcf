from __future__ import annotations

from longreach.policy.seldom import Seldom


def test_each_kind_is_due_once_in_a_while_and_says_how_often_it_happened():
    seldom = Seldom(every_s=60)

    assert [seldom.due("a", now) for now in (0.0, 1.0, 59.9, 60.0, 61.0)] == [1, None, None, 3, None]
    assert seldom.due("b", 61.0) == 1


def test_the_kinds_that_are_remembered_are_bounded():
    seldom = Seldom()
    for kind in range(3_000):
        assert seldom.due(kind, 0.0) == 1
        assert len(seldom._told) <= 1_000
    assert seldom.due(0, 1.0) == 1, "it was forgotten"
    assert seldom.due(2_999, 1.0) is None
