"""What a node knows about calls: those that are here, those that have ended, those that must not begin.

Pure book-keeping behind docs/binding.md 6 and 7. A call's key is ``via.caller.connection.call``; its scope
the first three.

What has ended, and what must not begin, is remembered by the 64-bit hash of its key: an entry costs a
quarter of the text. Two keys with one hash would take the one call for the other; among 200,000 that is a
chance of 1 in 10^14 for each call.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Literal

REMEMBER_S = 60.0
MAX_REMEMBERED = 10_000
SURE_S = 5.0
"""What ended within so many seconds is remembered even if that is more than `MAX_REMEMBERED`. An asker takes
a "no" for proof only while its call is 2 s old (M7.5)."""
MAX_ENDED = 200_000
"""Even then no more than the newest so many, or twice that for a moment: 40,000 calls a second."""
MAX_TOMBSTONES = 200_000
"""Of all askers together: about 30 MB."""
ACCEPTED_AFTER_S = 0.25
_TOLD = float("inf")
"""Instead of when a connection was last heard: it is silent, and that has been told."""

Verdict = Literal["new", "duplicate", "tombstoned"]


class _Ended:
    """The calls that have ended, in two generations: the older one is dropped whole when the younger is full.

    A generation is full after `REMEMBER_S`, or with `limit` calls, but then not before it is `SURE_S` old,
    unless it has `MAX_ENDED`. So a call is remembered for a minute if no more than `limit` end meanwhile, for
    `SURE_S` in any case up to `MAX_ENDED`. This costs one set entry a call, where exact ages would cost an
    ordered dictionary's work on every call.
    """

    def __init__(self, limit: int, at_most: int) -> None:
        self._limit = limit
        self._at_most = max(limit, at_most)
        self._young: set[int] = set()
        self._old: set[int] = set()
        self._opened_at = float("-inf")
        self._turn_at = float("-inf")
        self._full = limit
        self._since = float("-inf")

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, key: str, now: float) -> None:
        if now >= self._turn_at or len(self._young) >= self._full:
            self._turn(now)
        self._young.add(hash(key))

    def holds(self, key: str, now: float) -> bool:
        if now >= self._turn_at:
            self._turn(now)
        number = hash(key)
        return number in self._young or number in self._old

    def remembers_s(self, now: float) -> float | None:
        """How far back it remembers everything; None: `REMEMBER_S` at least."""
        since_s = now - self._since
        return since_s if since_s < REMEMBER_S else None

    def _turn(self, now: float) -> None:
        if now < self._opened_at + SURE_S and len(self._young) < self._at_most:
            # Full, but too young to be dropped at the next turn: it goes on until it is not.
            self._turn_at = self._opened_at + SURE_S
            self._full = self._at_most
            return
        is_stale = now >= self._turn_at + REMEMBER_S  # nothing was added since `_turn_at`
        if is_stale:
            self._since = self._turn_at
        elif self._old:
            self._since = self._opened_at
        self._old = set() if is_stale else self._young
        self._young = set()
        self._opened_at = now
        self._turn_at = now + REMEMBER_S
        self._full = self._limit


class _Tombstones:
    """The promises of a node not to begin a call, each kept for `REMEMBER_S`, apart for each asker.

    An asker is ``via.caller``, which the broker vouches for. It keeps its newest `limit` promises. Where all
    askers together have more than `at_most`, the one with the most loses its oldest: so whatever one asks, it
    pushes out only its own, and each has its equal share of `at_most` for sure.
    """

    def __init__(self, limit: int, at_most: int) -> None:
        self._limit = limit
        self._at_most = at_most
        # The asker that was promised something longest ago is first, and so is the oldest promise of each.
        self._of: OrderedDict[str, OrderedDict[int, float]] = OrderedDict()
        self._by_size: dict[int, OrderedDict[str, None]] = {}
        self._most = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, scope: str, key: str, now: float) -> None:
        asker = scope.rpartition(".")[0]
        self._forget_old(now)
        mine = self._of.get(asker)
        if mine is None:
            mine = self._of[asker] = OrderedDict()
        else:
            self._of.move_to_end(asker)
        number = hash(key)
        if number in mine:
            mine.move_to_end(number)
            mine[number] = now
            return
        mine[number] = now
        self._resized(asker, len(mine) - 1, len(mine))
        while len(mine) > self._limit or next(iter(mine.values())) <= now - REMEMBER_S:
            self._drop_oldest(asker)
        while self._count > self._at_most:
            self._drop_oldest(next(iter(self._by_size[self._most])))

    def holds(self, scope: str, key: str, now: float) -> bool:
        mine = self._of.get(scope.rpartition(".")[0])
        return mine is not None and mine.get(hash(key), float("-inf")) > now - REMEMBER_S

    def _forget_old(self, now: float) -> None:
        """Forget askers whose promises are all of age; two at a time are more than can come."""
        for _ in range(2):
            asker, mine = next(iter(self._of.items()), (None, None))
            if asker is None or not mine or next(reversed(mine.values())) > now - REMEMBER_S:
                return
            self._resized(asker, len(mine), 0)
            del self._of[asker]

    def _drop_oldest(self, asker: str) -> None:
        mine = self._of[asker]
        mine.popitem(last=False)
        self._resized(asker, len(mine) + 1, len(mine))
        if not mine:
            del self._of[asker]

    def _resized(self, asker: str, before: int, after: int) -> None:
        """Keep the askers by how many promises they have, to find one with the most at once."""
        self._count += after - before
        if before:
            same = self._by_size[before]
            del same[asker]
            if not same:
                del self._by_size[before]
        if after:
            self._by_size.setdefault(after, OrderedDict())[asker] = None
        if after > self._most:
            self._most = after
        elif self._most not in self._by_size:  # it was the only one with the most
            self._most = after if after == before - 1 and after else max(self._by_size, default=0)


class CallBook:
    """The calls of one node.

    Args:
        caller_silence_s: a connection not heard of for so long after `accepted` has fallen silent.
        max_remembered: of the calls that ended, at least so many of the newest are kept; and at most so many
            tombstones of each asker.
        max_ended: of the calls that ended, at most twice so many are kept, whatever their age.
        max_tombstones: at most so many are kept in all.
    """

    def __init__(
        self,
        caller_silence_s: float = 15.0,
        max_remembered: int = MAX_REMEMBERED,
        max_ended: int = MAX_ENDED,
        max_tombstones: int = MAX_TOMBSTONES,
    ) -> None:
        self._silence_s = caller_silence_s
        self._here: dict[str, str] = {}  # a call's scope
        self._keep_running: set[str] = set()
        self._young: deque[tuple[float, str]] = deque()
        self._done = _Ended(max_remembered, max_ended)
        self._tombstones = _Tombstones(max_remembered, max_tombstones)
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

    def knows(self, key: str, now: float) -> bool:
        """Whether a call is here, or has ended here not long ago."""
        return key in self._here or self._done.holds(key, now)

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

    def remembers_s(self, now: float) -> float | None:
        """How many seconds back every call that ended is remembered; None: a minute at least."""
        return self._done.remembers_s(now)

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
