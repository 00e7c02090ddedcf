"""A second attempt of what takes long, where running twice is harmless: the first answer wins.

Off unless it is asked for, and then for what is read-only alone. The second attempt is the one re-run that a
call may have: where both fail, the worse failure counts, and if that may have run, it is not run again.
Source: docs/routing.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from longreach.policy.retry import Failure
from longreach.tasks import TaskSet

R = TypeVar("R")
HEDGED = "hedged"
"""Why a second attempt was made of a call that had not failed."""
_BAD = ("no", "unknown", "yes")
"""What a failure says of whether the call ran, the worst last."""
_KEPT = 128
_ENOUGH = 20
"""The 95th percentile of fewer answers says nothing, and nothing is hedged by it."""


class Latencies:
    """How long the last answers of one target took."""

    __slots__ = ("_latest", "_p95", "_unread")

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=_KEPT)
        self._p95: float | None = None
        self._unread = 0

    def add(self, took_s: float) -> None:
        """An answer took `took_s`."""
        self._latest.append(took_s)
        self._unread += 1

    @property
    def p95_s(self) -> float | None:
        """What 19 of 20 took less than; None: too few are known."""
        if len(self._latest) < _ENOUGH:
            return None
        if self._p95 is None or self._unread >= _ENOUGH:
            self._unread = 0
            self._p95 = sorted(self._latest)[int(len(self._latest) * 0.95)]
        return self._p95


class Hedged(NamedTuple, Generic[R]):
    """What became of a call's first attempt, or of its first two.

    Attributes:
        answer: the first answer; the worse failure where all of them failed.
        made: how many attempts there were.
        lesser: the other failure, where both failed.
    """

    answer: R | Failure
    made: int = 1
    lesser: Failure | None = None


async def hedge(
    attempts: Sequence[Callable[[], Coroutine[Any, Any, R | Failure]]],
    after_s: float,
    may: Callable[[], bool],
) -> Hedged[R]:
    """The first answer of the first attempt, or of a second one that is begun after `after_s`.

    Whichever is not needed is cancelled, and ends before this returns. An attempt that fails leaves the
    other; where both fail, the worse failure is the result.

    Args:
        attempts: what makes the first one, and the second one.
        after_s: how long the first one is alone.
        may: whether there may be a second one; asked once.
    """
    tasks = TaskSet("hedge", _is_raised_here)
    try:
        running = [tasks.spawn(attempts[0](), name="first")]
        left = set(running)
        done, left = await asyncio.wait(left, timeout=after_s)
        if not done and may():
            running.append(tasks.spawn(attempts[1](), name="second"))
            left.add(running[1])
        while True:
            for task in done:
                if not isinstance(task.result(), Failure):
                    return Hedged(task.result(), len(running))
            if not left:
                return _worst([task.result() for task in running])
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await tasks.close()


def _worst(failures: list[Any]) -> Hedged[Any]:
    *lesser, worst = sorted(failures, key=lambda failure: _BAD.index(failure.delivered))
    return Hedged(worst, len(failures), lesser[0] if lesser else None)


def _is_raised_here(name: str, error: BaseException) -> None:
    """What an attempt raises is the ending of its call, and no defect."""
