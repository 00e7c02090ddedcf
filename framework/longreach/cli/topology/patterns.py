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
    right = list(dict.fromkeys(others))
    met = {both for one in dict.fromkeys(ones) for other in right if (both := meet(one, other)) is not None}
    return tuple(
        sorted(pattern for pattern in met if not any(holds(m, pattern) for m in met if m != pattern))
    )
