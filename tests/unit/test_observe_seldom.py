from __future__ import annotations

from longreach.observe import Seldom


def test_each_kind_is_due_once_in_a_while():
    seldom = Seldom(every_s=60)

    assert [seldom.due("a", now) for now in (0.0, 1.0, 59.9, 60.0, 61.0)] == [True, False, False, True, False]
    assert seldom.due("b", 61.0)


def test_the_kinds_that_are_remembered_are_bounded():
    seldom = Seldom(most=10)
    for kind in range(1_000):
        assert seldom.due(kind, 0.0)
        assert len(seldom._next) <= 10
