"""`Mailbox`: the calls that wait for an actor, fair among their callers.

Each caller has a queue of its own, and they take turns: whoever floods waits behind itself. Where there is no
room, the longest queue gives way, so that it is the flood that overflows. Every step costs the same, however
many wait; only what has expired is searched for, and no sooner than something can have.

A request that comes in parts has a place here from its offer on, so that it finds one when it is whole.
Such a place counts in its caller's queue, but has no turn.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

_TURNS = 32
"""So many of the last turns say what share each caller has."""


class Waiting(Protocol):
    """What can wait."""

    @property
    def key(self) -> str:
        """Names it; unique in its mailbox."""
        ...

    @property
    def deadline(self) -> float:
        """When nobody waits for it any more, in monotonic seconds."""
        ...


T = TypeVar("T", bound=Waiting)


class Mailbox(Generic[T]):
    """A bounded queue for each caller, and turns.

    Args:
        size: how many may wait, of all callers together.

    Attributes:
        size: how many may wait.
        owners: whose each one is, by its key; empty when nobody waits.
        coming: whose each place is that is kept for what is not whole yet, by its key.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._queues: OrderedDict[str, OrderedDict[str, T]] = OrderedDict()  # in the order of their turns
        self.owners: dict[str, str] = {}
        self.coming: dict[str, str] = {}
        self._coming: dict[str, OrderedDict[str, Waiting]] = {}
        self._lengths: dict[str, int] = {}  # of each owner's queue, what is coming included
        self._by_length: dict[int, dict[str, None]] = {}
        self._longest = 0
        self._soonest = float("inf")  # nothing here expires before
        self._turns: deque[str] = deque(maxlen=_TURNS)  # whose the last ones were

    def __len__(self) -> int:
        return len(self.owners)

    @property
    def is_full(self) -> bool:
        """Whether one more would need another's place."""
        return len(self.owners) + len(self.coming) >= self.size

    def ahead(self, owner: str) -> int:
        """How many have their turn before a further one of `owner`.

        By those who wait now, at the most; and not fewer than by the share of turns that it had lately, since
        others come, have their turn and are gone in between.
        """
        queue = self._queues.get(owner)
        if queue is None:
            return min(len(self.owners), len(self._queues))
        now = min(len(self.owners), (len(queue) + 1) * len(self._queues))
        turns = self._turns.count(owner)
        return now if not turns else max(now, (len(queue) + 1) * len(self._turns) // turns - 1)

    def oldest(self, owner: str) -> T | None:
        """The one of `owner` that has waited longest."""
        queue = self._queues.get(owner)
        return None if queue is None else next(iter(queue.values()))

    def put(self, owner: str, item: T) -> T | Waiting | None:
        """Let `item` wait; where there is no room, what is refused instead: `item`, or another that waited.

        The newest of the longest queue gives way, unless that queue would become the shorter one.
        """
        evicted: T | Waiting | None = None
        if self.is_full:
            if self._lengths.get(owner, 0) + 1 >= self._longest:
                return item
            evicted = self._evict()
        self._add(owner, item)
        return evicted

    def reserve(self, owner: str, item: Waiting, spare: int) -> T | Waiting | None:
        """Keep a place for `item`, which is not whole yet, until `release`; else as `put`.

        Args:
            owner: whose it is.
            item: what is coming.
            spare: how many could begin at once, and need no place here.
        """
        evicted: T | Waiting | None = None
        if self._is_over(spare - 1):
            if self._lengths.get(owner, 0) + 1 >= self._longest:
                return item
            evicted = self._evict()
        self._coming.setdefault(owner, OrderedDict())[item.key] = item
        self.coming[item.key] = owner
        self._count(owner, 1)
        return evicted

    def release(self, key: str) -> Waiting | None:
        """Give a place back that was kept; None: there is none of that key."""
        owner = self.coming.pop(key, None)
        if owner is None:
            return None
        queue = self._coming[owner]
        item = queue.pop(key)
        if not queue:
            del self._coming[owner]
        self._count(owner, -1)
        return item

    def overflow(self, spare: int) -> T | Waiting | None:
        """Take out what has no place any more, now that no more than `spare` could begin at once."""
        return self._evict() if self._is_over(spare) else None

    def take(self) -> T:
        """The oldest one of the caller whose turn it is; there must be one."""
        owner, queue = next(iter(self._queues.items()))
        self._turns.append(owner)
        key, item = queue.popitem(last=False)
        self._gone(owner, queue, key)
        if queue:
            self._queues.move_to_end(owner)
        return item

    def remove(self, key: str) -> T | None:
        """Take one out of the row; None: it is not here."""
        owner = self.owners.get(key)
        if owner is None:
            return None
        queue = self._queues[owner]
        item = queue.pop(key)
        self._gone(owner, queue, key)
        return item

    def drop_expired(self, now: float) -> list[T]:
        """Take out those whose deadline has passed."""
        if now < self._soonest:
            return []
        late = [item for queue in self._queues.values() for item in queue.values() if item.deadline <= now]
        for item in late:
            _ = self.remove(item.key)
        left = (item.deadline for queue in self._queues.values() for item in queue.values())
        self._soonest = min(left, default=float("inf"))
        return late

    def _is_over(self, spare: int) -> bool:
        return len(self.owners) + len(self.coming) > self.size + spare

    def _evict(self) -> T | Waiting:
        """Take the newest of the longest queue out: what is not whole goes before what is."""
        owner = next(reversed(self._by_length[self._longest]))
        coming = self._coming.get(owner)
        if coming is not None:
            released = self.release(next(reversed(coming)))
            assert released is not None
            return released
        queue = self._queues[owner]
        key, item = queue.popitem(last=True)
        self._gone(owner, queue, key)
        return item

    def _add(self, owner: str, item: T) -> None:
        queue = self._queues.get(owner)
        if queue is None:
            queue = self._queues[owner] = OrderedDict()
        queue[item.key] = item
        self.owners[item.key] = owner
        self._count(owner, 1)
        self._soonest = min(self._soonest, item.deadline)

    def _gone(self, owner: str, queue: OrderedDict[str, T], key: str) -> None:
        """One has left `queue`."""
        del self.owners[key]
        if not queue:
            del self._queues[owner]
        self._count(owner, -1)

    def _count(self, owner: str, change: int) -> None:
        """The queue of `owner` has become longer or shorter by one."""
        before = self._lengths.get(owner, 0)
        if before:
            same = self._by_length[before]
            del same[owner]
            if not same:
                del self._by_length[before]
        after = before + change
        if after:
            self._lengths[owner] = after
            self._by_length.setdefault(after, {})[owner] = None
        else:
            del self._lengths[owner]
        if after > self._longest:
            self._longest = after
        elif self._longest not in self._by_length:
            self._longest -= 1
