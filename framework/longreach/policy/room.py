"""`Room`: how much of bodies in parts a node holds, shared fairly among askers.

A node cannot hold everything that is offered to it, and what it holds may never be fetched. So an asker
that holds much gives way to one that holds less, as the longest queue of a mailbox does:

- A body is taken where there is room. Where there is none, the asker that holds most gives way, body by
  body, as long as it holds more than the one who asks would then hold. Else the body that comes is refused.
- Of its bodies goes first the one that did not get on for longest. A body that got on lately goes only for an
  asker that stays within its fair share, which is the room divided by the number of those who hold something.

Nobody below its fair share is refused. Let there be n askers and R bytes, and let the one who asks hold at
most R/n in the end. If there is no room, the others hold more than R - R/n together, so that one of the n - 1
holds more than R/n, which is more than the one who asks; it gives way. The same is true after each body that
goes, until there is room.

A body counts as 1/4096 of the room at least, so that the number of bodies, and of tasks for them, is
bounded too. Every step but making room costs the same however much is held. Source: docs/binding.md 16,
docs/adr/0036.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

MOST_BODIES = 4096
"""So many bodies are held at most, of all askers; half of them of one where its bytes are half of all."""
RESTING_S = 5.0
"""A body that did not get on for so long may go for any asker that holds less."""


class _Body:
    __slots__ = ("moved_at", "size")

    def __init__(self, size: int, moved_at: float) -> None:
        self.size = size
        self.moved_at = moved_at


class Room:
    """How much of bodies in parts is held: for each asker, and for all of them.

    Args:
        of_one: bytes for one asker.
        of_all: bytes altogether.
    """

    def __init__(self, of_one: int, of_all: int) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._least = max(1, of_all // MOST_BODIES)
        self._bodies: dict[str, OrderedDict[str, _Body]] = {}  # of each asker, those first that rest longest
        self._held: dict[str, int] = {}
        self._askers: dict[str, str] = {}
        self._used = 0

    def __len__(self) -> int:
        return len(self._askers)

    def __contains__(self, key: str) -> bool:
        return key in self._askers

    @property
    def used(self) -> int:
        """How much is taken, in bytes."""
        return self._used

    def held_by(self, asker: str) -> int:
        """How much of it an asker has, in bytes."""
        return self._held.get(asker, 0)

    def take(self, key: str, asker: str, size: int, now: float) -> list[str] | None:
        """Take room for a body of `size` bytes, named by `key`, which has none yet.

        Returns:
            The keys of bodies that gave way, nearly always none; they hold no room any more, and the caller
            tells their askers. None: there is no room, and nothing has changed.
        """
        size = max(size, self._least)
        holds = self._held.get(asker, 0) + size
        if holds > self._of_one or size > self._of_all:
            return None
        gone: list[str] = []
        if self._used + size > self._of_all:
            found = self._make_room(asker, size, holds, now)
            if found is None:
                return None
            gone = found
            for each in gone:
                self.give(each)
        self._askers[key] = asker
        self._bodies.setdefault(asker, OrderedDict())[key] = _Body(size, now)
        self._held[asker] = self._held.get(asker, 0) + size
        self._used += size
        return gone

    def shrink(self, key: str, size: int) -> None:
        """A body turned out to have no more than `size` bytes."""
        asker = self._askers[key]
        body = self._bodies[asker][key]
        less = max(0, body.size - max(size, self._least))
        body.size -= less
        self._held[asker] -= less
        self._used -= less

    def moved(self, key: str, now: float) -> None:
        """A body got on."""
        bodies = self._bodies[self._askers[key]]
        bodies[key].moved_at = now
        bodies.move_to_end(key)

    def rests_since(self, key: str) -> float:
        """When a body last got on, in monotonic seconds."""
        return self._bodies[self._askers[key]][key].moved_at

    def give(self, key: str) -> bool:
        """Give back what a body took; False: it holds nothing."""
        asker = self._askers.pop(key, None)
        if asker is None:
            return False
        bodies = self._bodies[asker]
        size = bodies.pop(key).size
        self._used -= size
        self._held[asker] -= size
        if not bodies:
            del self._bodies[asker], self._held[asker]
        return True

    def _make_room(self, asker: str, size: int, holds: int, now: float) -> list[str] | None:
        """Which bodies give way, so that `asker` holds `holds` bytes; None: there is no room for it."""
        askers = len(self._held) + (asker not in self._held)
        is_fair = holds * askers <= self._of_all
        left = dict(self._held)  # as it would be
        rows: dict[str, Iterator[tuple[str, _Body]]] = {}
        gone: list[str] = []
        missing = self._used + size - self._of_all
        while missing > 0:
            most = max(left, key=left.__getitem__)
            if most == asker or left[most] <= holds:
                return None
            row = rows.get(most)
            if row is None:
                row = rows[most] = iter(self._bodies[most].items())
            key, body = next(row)
            if not is_fair and now < body.moved_at + RESTING_S:
                return None
            gone.append(key)
            left[most] -= body.size
            missing -= body.size
        return gone
