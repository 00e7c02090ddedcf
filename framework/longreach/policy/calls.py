"""What a node knows about calls: those that are here, those that have ended, those that must not begin.

Pure book-keeping behind docs/binding.md 6 and 7. A call's key is ``via.caller.connection.call``; its scope
the first three. All memories are bounded: the oldest entry goes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

REMEMBER_S = 60.0
MAX_REMEMBERED = 10_000
MAX_ASKERS = 1000
"""So many askers' tombstones are kept apart."""
ACCEPTED_AFTER_S = 0.25
_TOLD = float("inf")
"""Instead of when a connection was last heard: it is silent, and that has been told."""

Verdict = Literal["new", "duplicate", "tombstoned"]


class _Memory:
    """Keys, in two generations: the older one is dropped whole when the younger one is full or of age.

    A key is kept for `keep_s` at least and twice that at most, unless more than `limit` come meanwhile. This
    costs one set entry a key, where exact ages would cost an ordered dictionary's work on every call.
    """

    def __init__(self, limit: int, keep_s: float) -> None:
        self._limit = limit
        self._keep_s = keep_s
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._turn_at = float("-inf")

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, key: str, now: float) -> None:
        if now >= self._turn_at or len(self._young) >= self._limit:
            self._turn(now)
        self._young.add(key)

    def holds(self, key: str, now: float) -> bool:
        if now >= self._turn_at:
            self._turn(now)
        return key in self._young or key in self._old

    def is_stale(self, now: float) -> bool:
        """Whether nothing was added for so long that everything in it is of age."""
        return now >= self._turn_at + self._keep_s

    def _turn(self, now: float) -> None:
        self._old = set() if self.is_stale(now) else self._young
        self._young = set()
        self._turn_at = now + self._keep_s


class _Tombstones:
    """The promises of a node not to begin a call, kept apart for each asker.

    An asker is ``via.caller``, which the broker vouches for: whatever one asks, it can only push out its own.
    """

    def __init__(self, limit: int, keep_s: float) -> None:
        self._limit = limit
        self._keep_s = keep_s
        self._of: dict[str, _Memory] = {}

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, scope: str, key: str, now: float) -> None:
        asker = scope.rpartition(".")[0]
        memory = self._of.get(asker)
        if memory is None:
            self._make_room(now)
            memory = self._of[asker] = _Memory(self._limit, self._keep_s)
        memory.add(key, now)

    def holds(self, scope: str, key: str, now: float) -> bool:
        memory = self._of.get(scope.rpartition(".")[0])
        return memory is not None and memory.holds(key, now)

    def _make_room(self, now: float) -> None:
        """Forget askers whose promises are of age; where there are too many, the one with the most."""
        if len(self._of) < MAX_ASKERS:
            return
        for asker in [asker for asker, memory in self._of.items() if memory.is_stale(now)]:
            del self._of[asker]
        if len(self._of) >= MAX_ASKERS:
            del self._of[max(self._of, key=lambda asker: len(self._of[asker]))]


class CallBook:
    """The calls of one node.

    Args:
        caller_silence_s: a connection not heard of for so long after `accepted` has fallen silent.
        remember_s: how long ended calls and tombstones are remembered.
        max_remembered: at least so many of the newest are kept, and at most twice that; of tombstones for
            each asker.
    """

    def __init__(
        self,
        caller_silence_s: float = 15.0,
        remember_s: float = REMEMBER_S,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._silence_s = caller_silence_s
        self._here: dict[str, str] = {}  # a call's scope
        self._keep_running: set[str] = set()
        self._young: deque[tuple[float, str]] = deque()
        self._done = _Memory(max_remembered, remember_s)
        self._tombstones = _Tombstones(max_remembered, remember_s)
        self._accepted: dict[str, set[str]] = {}
        self._heard: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._here)

    @property
    def remembered(self) -> tuple[int, int]:
        """How many ended calls and tombstones are remembered."""
        return len(self._done), len(self._tombstones)

    def arrived(
        self, key: str, scope: str, now: float, *, frames: bool, keep_running: bool = False
    ) -> Verdict:
        """A call came; only a "new" one may begin."""
        if key in self._here or self._done.holds(key, now):
            return "duplicate"
        if self._tombstones and self._tombstones.holds(scope, key, now):
            return "tombstoned"
        self._here[key] = scope
        if keep_running:
            self._keep_running.add(key)
        if frames:
            self._young.append((now, key))
        if scope in self._heard:
            self._heard[scope] = now
        return "new"

    def ended(self, key: str, now: float) -> None:
        """A call has ended here."""
        scope = self._here.pop(key, None)
        if scope is None:
            return
        self._done.add(key, now)
        if self._keep_running:
            self._keep_running.discard(key)
        if self._accepted:
            self._no_longer_accepted(key, scope)

    def again(self, key: str, scope: str, now: float) -> None:
        """A call that has run is here again: its asker knows of its result, and has yet to fetch it."""
        self._here[key] = scope
        self._accepted.setdefault(scope, set()).add(key)
        self._heard.setdefault(scope, now)

    def forget(self, key: str) -> None:
        """A call that has not begun is about to arrive once more."""
        scope = self._here.pop(key, None)
        if scope is not None and self._accepted:
            self._no_longer_accepted(key, scope)

    def _no_longer_accepted(self, key: str, scope: str) -> None:
        calls = self._accepted.get(scope)
        if calls is None:
            return
        calls.discard(key)
        if not calls:
            del self._accepted[scope]
            del self._heard[scope]

    def heard(self, scope: str, now: float) -> None:
        """A sign of life of a connection."""
        if scope in self._heard:
            self._heard[scope] = now

    def cancel(self, scope: str, calls: Iterable[str], now: float) -> list[str]:
        """The keys among `calls` that are here, to be cancelled; of the others a tombstone stays."""
        here = []
        for call in calls:
            key = f"{scope}.{call}"
            if key in self._here:
                here.append(key)
            elif not self._done.holds(key, now):
                self._tombstones.add(scope, key, now)
        return here

    def alive(self, scope: str, calls: Iterable[str], now: float) -> list[str]:
        """Those of `calls` that are not here."""
        self.heard(scope, now)
        return [call for call in calls if f"{scope}.{call}" not in self._here]

    def whose(self, scope: str, calls: Iterable[str], now: float) -> tuple[list[str], list[str]]:
        """(here, ended here) among `calls`; each of the others is refused if it ever comes."""
        self.heard(scope, now)
        have, done = [], []
        for call in calls:
            key = f"{scope}.{call}"
            if key in self._here:
                have.append(call)
            elif self._done.holds(key, now):
                done.append(call)
            else:
                self._tombstones.add(scope, key, now)
        return have, done

    def due_accepted(self, now: float) -> list[str]:
        """The keys of calls that have been here for 250 ms, each of them once."""
        due = []
        young = self._young
        while young and now >= young[0][0] + ACCEPTED_AFTER_S:  # the sum that `next_due` names
            _, key = young.popleft()
            scope = self._here.get(key)
            if scope is None or key in self._accepted.get(scope, ()):
                continue
            self._accepted.setdefault(scope, set()).add(key)
            self._heard.setdefault(scope, now)
            due.append(key)
        return due

    def silent_calls(self, now: float) -> list[str]:
        """The keys of accepted calls whose caller has fallen silent, those left out that keep running.

        Each silence is told of once: what cannot be stopped isn't stopped again and again.
        """
        silent = []
        for scope, heard in self._heard.items():
            if now >= heard + self._silence_s:
                self._heard[scope] = _TOLD
                silent += [key for key in self._accepted[scope] if key not in self._keep_running]
        return silent

    def next_due(self, now: float) -> float | None:
        """When to look again (monotonic s); None: when the next call has come."""
        young = self._young
        while young and young[0][1] not in self._here:  # ended since: nothing to do about it
            young.popleft()
        due = [young[0][0] + ACCEPTED_AFTER_S] if young else []
        if self._heard:
            due.append(min(self._heard.values()) + self._silence_s)
        soonest = min(due, default=_TOLD)
        return None if soonest == _TOLD else soonest
