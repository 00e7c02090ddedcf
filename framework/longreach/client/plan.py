"""What is known of a call before it is made, and what is left of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from longreach.client.results import RawResult
    from longreach.policy.hints import Hints
    from longreach.policy.route import Candidate


class Target(NamedTuple):
    """What is called: names, not tokens."""

    server: str
    tool: str

    def __str__(self) -> str:
        return f"{self.server}.{self.tool}"


class Plan(NamedTuple):
    """What is known about a target before it is called; made anew when the catalog changes."""

    target: Target
    first: Candidate | None
    candidates: Callable[[frozenset[str]], tuple[Candidate, ...]]
    hints: Callable[[], Hints]
    timeout_s: float | None
    name_json: bytes


class Outcome(NamedTuple):
    """A call that was answered: the result, how many attempts it took, and why those before failed."""

    result: RawResult
    attempts: int
    retries: tuple[str, ...]


class CallStats(msgspec.Struct):
    """What a mesh has done so far."""

    calls: int = 0
    answered: int = 0
    failed: int = 0
    attempts: int = 0
    retried: int = 0
