"""Which messages a permission violation may be about, where the broker names the subject alone.

A violation names no message, so by itself it proves nothing about any. Two facts make a proof of it: the
broker sends one violation for each message that it refuses, and a message that was answered or accepted was
not refused. So each violation on a subject is about another one of the messages whose fate is open; once
there are as many violations as such messages, all of them were refused. With fewer, it is unknown which.

A message that nobody waits for any more (cancelled, past its deadline) may still be the one that is meant,
and counts for as long as its violation may be on its way. Source: docs/binding.md M5.5.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

OWED_S = 60.0
"""For so long after nobody waits for a message its violation may come. A connection on which nothing comes
for a few seconds is given up, and its violations with it, so this is generous."""
MAX_OWED = 10_000
"""So many messages that nobody waits for any more are known by subject."""


class Ruling(NamedTuple):
    """What follows from a violation: the messages that were refused, and those of which one may be."""

    refused: tuple[str, ...] = ()
    in_doubt: tuple[str, ...] = ()


class _Doubt:
    """Violations on one subject that are not attributed yet, and the messages that they may be about."""

    __slots__ = ("gone", "violations", "waiting")

    def __init__(self) -> None:
        self.violations = 0
        self.waiting: set[str] = set()
        self.gone: set[str] = set()

    @property
    def is_settled(self) -> bool:
        """Whether every message must have been refused."""
        return self.violations >= len(self.waiting) + len(self.gone)


class Denials:
    """The violations of one asker. Messages are known by tokens that no other has."""

    def __init__(self) -> None:
        self._doubts: dict[str, _Doubt] = {}
        self._owed: OrderedDict[str, tuple[str, float]] = OrderedDict()  # token: (subject, until)
        self._owed_on: dict[str, set[str]] = {}
        self._blind_until = float("-inf")

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in doubt, so that `cleared` has nothing to find."""
        return not self._doubts

    def violated(self, subject: str, count: int, waiting: Collection[str], now: float) -> Ruling:
        """The broker refused messages on `subject`.

        Args:
            subject: as the broker names it.
            count: how many.
            waiting: the messages on it that are waited for and that nobody has accepted.
            now: monotonic seconds.
        """
        self._forget(now)
        doubt = self._doubts.get(subject) or _Doubt()
        doubt.violations += count
        doubt.waiting = set(waiting)
        doubt.gone |= self._owed_on.get(subject, set())
        if now < self._blind_until:  # there may be messages that are not known: no count proves anything
            doubt.violations = 0
        refused = self._settle(subject, doubt)
        if not waiting:  # nothing to decide
            self._doubts.pop(subject, None)
            return Ruling()
        if not refused:
            self._doubts[subject] = doubt
        return Ruling(refused) if refused else Ruling((), tuple(waiting))

    def cleared(self, token: str, subject: str) -> tuple[str, ...]:
        """A message was answered or accepted, so it was not refused; the messages that must have been."""
        doubt = self._doubts.get(subject)
        if doubt is None:
            return ()
        doubt.waiting.discard(token)
        if not doubt.waiting:
            del self._doubts[subject]
            return ()
        return self._settle(subject, doubt)

    def never_ran(self, token: str, subject: str) -> bool:
        """Spend a violation on a message that is in doubt, since it is known that it never ran.

        Return False if there is none to spend: its own may still be on its way, and must not be taken for
        that of a later message (`given_up`).
        """
        doubt = self._doubts.get(subject)
        if doubt is None or token not in doubt.waiting or not doubt.violations:
            return False
        doubt.waiting.discard(token)
        doubt.violations -= 1
        if not doubt.waiting:
            del self._doubts[subject]
        return True

    def given_up(self, token: str, subject: str, now: float) -> None:
        """Nobody waits any more for a message that nobody answered or accepted; it may have been refused."""
        self._forget(now)
        self._owed[token] = (subject, now + OWED_S)
        self._owed_on.setdefault(subject, set()).add(token)
        doubt = self._doubts.get(subject)
        if doubt is not None:
            doubt.gone.add(token)
            doubt.waiting.discard(token)
            if not doubt.waiting:
                del self._doubts[subject]
        if len(self._owed) > MAX_OWED:
            self._drop(next(iter(self._owed)))
            self._blind_until = now + OWED_S

    def _settle(self, subject: str, doubt: _Doubt) -> tuple[str, ...]:
        """The messages that were refused, if that follows; with them, nobody's violation is owed any more."""
        if not doubt.is_settled:
            return ()
        self._doubts.pop(subject, None)
        for token in doubt.gone:
            self._drop(token)
        return tuple(doubt.waiting)

    def _drop(self, token: str) -> None:
        owed = self._owed.pop(token, None)
        if owed is not None:
            here = self._owed_on[owed[0]]
            here.discard(token)
            if not here:
                del self._owed_on[owed[0]]

    def _forget(self, now: float) -> None:
        while self._owed:
            token, (_, until) = next(iter(self._owed.items()))
            if until > now:
                return
            self._drop(token)
