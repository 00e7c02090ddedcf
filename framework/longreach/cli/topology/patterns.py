"""Subjects with wildcards as sets: what two of them have in common, and what one holds of another. Pure."""

from __future__ import annotations

from collections.abc import Iterable

ONE, REST = "*", ">"


def meet(one: str, other: str) -> str | None:
    """The pattern of all subjects that match both; None if there is none."""
    tokens: list[str] = []
    left, right = one.split("."), other.split(".")
    for at in range(max(len(left), len(right))):
        a = left[at] if at < len(left) else None
        b = right[at] if at < len(right) else None
        if a == REST and b is not None:
            return ".".join([*tokens, *right[at:]])
        if b == REST and a is not None:
            return ".".join([*tokens, *left[at:]])
        if a is None or b is None:
            return None
        if a != b and ONE not in (a, b):
            return None
        tokens.append(b if a == ONE else a)
    return ".".join(tokens)


def holds(whole: str, part: str) -> bool:
    """Whether every subject that matches `part` matches `whole`."""
    left, right = whole.split("."), part.split(".")
    for at, token in enumerate(left):
        if token == REST:
            return len(right) > at
        if at >= len(right) or right[at] == REST or (token != ONE and token != right[at]):
            return False
    return len(left) == len(right)


def common(ones: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """The patterns of what is in both sets, without those that another one holds; in a fixed order."""
    right = _by_head(others)
    met = {
        both
        for one in dict.fromkeys(ones)
        for other in _candidates(right, one)
        if (both := meet(one, other)) is not None
    }
    index = _by_head(met)
    return tuple(sorted(pattern for pattern in met if not _is_held(pattern, _candidates(index, pattern))))


def touched(ones: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Those of the first that have anything in common with the others; in a fixed order."""
    right = _by_head(others)
    return tuple(
        sorted(
            one for one in set(ones) if any(meet(one, other) is not None for other in _candidates(right, one))
        )
    )


def _is_held(pattern: str, others: Iterable[str]) -> bool:
    """Whether one of `others` holds it, and more: one that has more wildcards, or ends with the greatest."""
    stars = pattern.count(ONE)
    return any(
        (other[-1] == REST or other.count(ONE) > stars) and other != pattern and holds(other, pattern)
        for other in others
    )


_HEAD = 5
"""Our subjects begin with five tokens that are hardly ever wildcards; only what shares them can meet."""


def _head(pattern: str) -> str | None:
    tokens = pattern.split(".", _HEAD)[:_HEAD]
    return None if len(tokens) < _HEAD or ONE in tokens or REST in tokens else ".".join(tokens)


def _by_head(patterns: Iterable[str]) -> dict[str | None, list[str]]:
    index: dict[str | None, list[str]] = {}
    for pattern in dict.fromkeys(patterns):
        index.setdefault(_head(pattern), []).append(pattern)
    return index


def _candidates(index: dict[str | None, list[str]], pattern: str) -> Iterable[str]:
    """Of an index, what could have something in common with `pattern`."""
    head = _head(pattern)
    if head is None:
        return (each for group in index.values() for each in group)
    return (*index.get(head, ()), *index.get(None, ()))
