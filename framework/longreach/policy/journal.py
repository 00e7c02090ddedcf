"""`Journal`: what a call has done so far, and whether its handler, run again, does the same.

A handler that asked for something is run again from its beginning when the answer is there. What it did
through its context is in the journal: steps with their results, questions with their answers. Whatever the
handler does in the very task of its call keeps its order; what it does in tasks of its own making (as in
`asyncio.gather`) is found by its key, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from longreach.errors import ConfigError

Kind = Literal["step", "ask"]


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One thing that was done.

    Attributes:
        key: its name within the call.
        kind: what it was.
        ordered: it was done in the task of the call.
        digest: of the question; empty for a step.
        value: the result or the answer, JSON; None while there is no answer.
    """

    key: str
    kind: Kind
    ordered: bool
    digest: bytes = b""
    value: bytes | None = None


class Diverged(ValueError):
    """The handler does not do what it did before; the text says what is different."""


class Journal:
    """The journal of one run.

    Args:
        entries: of the runs before.
        strict: the same things must be done again; a handler that is told its state explicitly goes its
            own way.
    """

    def __init__(self, entries: Iterable[Entry] = (), *, strict: bool = True) -> None:
        self._entries = {entry.key: entry for entry in entries}
        self._strict = strict
        self._seen: set[str] = set()
        self._order = [entry.key for entry in self._entries.values() if entry.ordered]
        self._at = 0

    @property
    def entries(self) -> list[Entry]:
        """All there is, in order: for the next run."""
        return list(self._entries.values())

    def answer(self, key: str, value: bytes) -> None:
        """Take the answer to a question that was asked before; all else is ignored."""
        entry = self._entries.get(key)
        if entry is not None and entry.kind == "ask" and entry.value is None:
            self._entries[key] = msgspec.structs.replace(entry, value=value)

    def recall(self, key: str, kind: Kind, digest: bytes = b"", *, ordered: bool = True) -> Entry | None:
        """What is known of what the handler is about to do; None: it is new.

        Raises:
            ConfigError: the key was used before in this run.
            Diverged: the handler did something else before.
        """
        if key in self._seen:
            raise ConfigError(
                f"the key {key!r} was used before in this call; give each step and question its own"
            )
        entry = self._entries.get(key)
        expected = self._expected()
        out_of_turn = ordered and expected not in (None, key) and (entry is None or entry.ordered)
        if self._strict and out_of_turn:
            raise Diverged(f"it comes to the {kind} {key!r}, and came to {expected!r} before")
        if entry is not None and (entry.kind, entry.digest) != (kind, digest):
            now = "another question" if entry.kind == kind else f"a {kind}"
            raise Diverged(f"{key!r} is {now} now, and was not before")
        self._seen.add(key)
        return entry

    def is_seen(self, key: str) -> bool:
        """Whether this run has come to `key`."""
        return key in self._seen

    def remember(self, entry: Entry) -> None:
        """Write down what was done."""
        self._entries[entry.key] = entry
        self._seen.add(entry.key)

    def left_over(self) -> list[str]:
        """The keys of what was done before and, now that the handler has returned, was not done again."""
        return [key for key in self._entries if key not in self._seen] if self._strict else []

    def _expected(self) -> str | None:
        """The next key, if this run is not yet past all that was done in order before."""
        while self._at < len(self._order) and self._order[self._at] in self._seen:
            self._at += 1
        return self._order[self._at] if self._at < len(self._order) else None
