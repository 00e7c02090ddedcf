"""A persistent map is a dict that stays as it was, and says what differs from an older one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from longreach.policy.persistent import EMPTY, PersistentMap


class Clashing:
    """A key whose hash many others have."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __hash__(self) -> int:
        return self.value % 3

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Clashing) and other.value == self.value


keys = st.one_of(st.integers(0, 200), st.integers(0, 60).map(Clashing))
steps = st.lists(st.tuples(keys, st.one_of(st.none(), st.integers(0, 3))), max_size=300)


def grown(count: int) -> tuple[PersistentMap[Any, int], dict[Any, int]]:
    """A map of so many entries, and the same as a dict."""
    value: PersistentMap[Any, int] = EMPTY
    for number in range(count):
        value = value.having(number, number)
    return value, {number: number for number in range(count)}


@given(count=st.sampled_from([0, 20, 30, 2000]), told=steps, kept_at=st.integers(0, 300))
def test_it_is_the_dict_that_the_same_steps_make(count, told, kept_at):
    value, same = grown(count)
    kept, kept_same = value, dict(same)
    for number, (key, new) in enumerate(told):
        if number == kept_at:
            kept, kept_same = value, dict(same)
        if new is None:
            value = value.without(key)
            same.pop(key, None)
        else:
            value = value.having(key, new)
            same[key] = new
        assert len(value) == len(same)
    assert dict(value.items()) == same
    assert all(value[key] == same[key] and key in value for key in same)
    assert "absent" not in value
    assert dict(kept.items()) == kept_same
    differing = {key for key in same.keys() | kept_same.keys() if same.get(key) != kept_same.get(key)}
    assert differing <= set(value.changed(kept))
    assert set(value.changed(kept)) == set(kept.changed(value))
    assert value.changed(value) == []


def test_emptied_it_is_like_one_that_never_had_anything():
    value, same = grown(3000)
    for key in same:
        value = value.without(key)
    assert (len(value), dict(value.items()), value._root) == (0, {}, {})


def test_a_few_entries_keep_their_order():
    value: PersistentMap[str, int] = EMPTY
    for name in "zyxab":
        value = value.having(name, 1)
    assert "".join(value) == "zyxab"
