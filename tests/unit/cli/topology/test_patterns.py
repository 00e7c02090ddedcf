from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longreach.cli.topology.patterns import common, holds, meet, touched

TOKENS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4)
PATTERNS = st.tuples(TOKENS, st.booleans()).map(
    lambda made: ".".join([*made[0], *([">"] if made[1] else [])])
)
SUBJECTS = [".".join(made) for size in range(1, 7) for made in itertools.product("ab", repeat=size)]


def matches(pattern: str, subject: str) -> bool:
    tokens, parts = pattern.split("."), subject.split(".")
    for at, token in enumerate(tokens):
        if token == ">":
            return len(parts) > at
        if at >= len(parts) or token not in ("*", parts[at]):
            return False
    return len(tokens) == len(parts)


def test_what_two_patterns_have_in_common():
    assert meet("a.*.c", "a.b.>") == "a.b.c"
    assert meet("a.>", "a.*.c.>") == "a.*.c.>"
    assert meet("a.*", "a.b.c") is None
    assert meet("a.>", "a") is None
    assert meet("a.b", "a.c") is None


@given(PATTERNS, PATTERNS)
def test_a_meeting_matches_what_both_match(one: str, other: str):
    both = meet(one, other)
    for subject in SUBJECTS:
        assert (both is not None and matches(both, subject)) == (
            matches(one, subject) and matches(other, subject)
        )
    assert meet(other, one) == both


@given(PATTERNS, PATTERNS)
def test_a_pattern_that_holds_another_matches_all_of_it(whole: str, part: str):
    if holds(whole, part):
        assert all(matches(whole, subject) for subject in SUBJECTS if matches(part, subject))
    assert holds(whole, whole)
    assert holds(">", part)


def test_what_is_in_common_is_said_once():
    assert common(["a.>", "a.b.*", "x"], ["a.b.c", "a.b.>", "y"]) == ("a.b.>",)


HEADS = st.lists(st.sampled_from(["x", "y", "*"]), min_size=4, max_size=5).map(".".join)
DEEP = st.lists(st.tuples(HEADS, PATTERNS).map(".".join), max_size=5)


@given(DEEP, DEEP)
def test_what_is_in_common_is_all_that_meets_and_nothing_twice(ones: list[str], others: list[str]):
    met = {both for one in ones for other in others if (both := meet(one, other)) is not None}
    found = common(ones, others)
    assert set(found) == {each for each in met if not any(holds(o, each) for o in met if o != each)}
    assert list(found) == sorted(set(found))
    assert touched(ones, others) == tuple(sorted({one for one in ones if any(meet(one, o) for o in others)}))


@pytest.mark.parametrize(("whole", "part"), [("a.*", "a.>"), ("a.b", "a.*"), ("a.>", "a"), ("*", "a.b")])
def test_what_a_pattern_does_not_hold(whole: str, part: str):
    assert not holds(whole, part)
