"""`Mailbox`: the calls that wait for an actor, fair among their callers.

Each caller has a queue of its own, and they take turns: whoever floods waits behind itself. Where there is no
room, the longest queue gives way, so that it is the flood that overflows. Every step costs the same, however
many wait; only what has expired is searched for, and no sooner than something can have.
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
        owners: whose each one is, by its key; empty when nobody waits.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._queues: OrderedDict[str, OrderedDict[str, T]] = OrderedDict()  # in the order of their turns
        self.owners: dict[str, str] = {}
        self._by_length: dict[int, dict[str, None]] = {}
        self._longest = 0
        self._soonest = float("inf")  # nothing here expires before
        self._turns: deque[str] = deque(maxlen=_TURNS)  # whose the last ones were

    def __len__(self) -> int:
        return len(self.owners)

    @property
    def is_full(self) -> bool:
        """Whether one more would need another's place."""
        return len(self.owners) >= self._size

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

    def put(self, owner: str, item: T) -> T | None:
        """Let `item` wait; where there is no room, what is refused instead: `item`, or another that waited.

        The newest of the longest queue gives way, unless that queue would become the shorter one.
        """
        evicted: T | None = None
        if len(self.owners) >= self._size:
            queue = self._queues.get(owner)
            if (0 if queue is None else len(queue)) + 1 >= self._longest:
                return item
            evicted = self._evict()
        self._add(owner, item)
        return evicted

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

    def _evict(self) -> T:
        owner = next(reversed(self._by_length[self._longest]))
        queue = self._queues[owner]
        key, item = queue.popitem(last=True)
        self._gone(owner, queue, key)
        return item

    def _add(self, owner: str, item: T) -> None:
        queue = self._queues.get(owner)
        if queue is None:
            queue = self._queues[owner] = OrderedDict()
        else:
            self._unlist(owner, len(queue))
        queue[item.key] = item
        self.owners[item.key] = owner
        self._list(owner, len(queue))
        self._longest = max(self._longest, len(queue))
        self._soonest = min(self._soonest, item.deadline)

    def _gone(self, owner: str, queue: OrderedDict[str, T], key: str) -> None:
        """One has left `queue`."""
        del self.owners[key]
        self._unlist(owner, len(queue) + 1)
        if queue:
            self._list(owner, len(queue))
        else:
            del self._queues[owner]
        if self._longest not in self._by_length:
            self._longest -= 1

    def _list(self, owner: str, length: int) -> None:
        self._by_length.setdefault(length, {})[owner] = None

    def _unlist(self, owner: str, length: int) -> None:
        same = self._by_length[length]
        del same[owner]
        if not same:
            del self._by_length[length]
