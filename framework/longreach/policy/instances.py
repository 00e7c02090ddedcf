"""Servers on nodes, as they announce themselves, and when each was last heard of.

Source: docs/binding.md 8.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec

from longreach.policy.liveness import NodeId
from longreach.policy.persistent import EMPTY, PersistentMap
from longreach.wire.frames import Announcement

Key = tuple[str, str, str]
"""(identity, instance, server)."""

MAX_OF_ONE = 2000
"""So many instances of a server under one identity are heard: what announces more is broken, or hostile."""
MAX_HEARD = 50_000
"""And so many in all. Of so many that have left, the last announcement is remembered too."""
_MAX_SKEW_MS = 2000
_SKEW_STEP_MS = 50


class Sort(NamedTuple):
    """What is the same for instances of a server that do not differ for a call."""

    region: str
    version: str
    digest: str
    canary: int | None


class Instance(NamedTuple):
    """A server on a node.

    `canary` is the share of calls, in percent, that a canary takes; None: it is none, and takes part in the
    groups of all. The node's clock is no part of it: it moves with each heartbeat (`Hearing.skew_ms`).
    """

    server: str
    identity: str
    instance: str
    region: str
    version: str
    digest: str
    labels: tuple[tuple[str, str], ...]
    canary: int | None = None

    @property
    def key(self) -> Key:
        """What identifies it."""
        return (self.identity, self.instance, self.server)

    @property
    def node(self) -> NodeId:
        """The node it is on."""
        return NodeId(self.region, self.identity, self.instance)

    @property
    def sort(self) -> Sort:
        """What it shares with its equals."""
        return Sort(self.region, self.version, self.digest, self.canary)


class ServerInstances(msgspec.Struct, frozen=True):
    """The instances of one server; another object whenever they, or what is known of their offer, change.

    Attributes:
        server: its name.
        instances: all of them.
        sorts: how many there are of each sort; most servers have one or two sorts, whatever their size.
        digests: how many announce each manifest.
        unread: how many of these manifests were not fetched yet.
        unknown: how many of them are not known whole: these, and those whose definitions are still to come.
        revision: that of the catalog in which this server changed last.
    """

    server: str
    instances: PersistentMap[Key, Instance] = EMPTY
    sorts: PersistentMap[Sort, int] = EMPTY
    digests: PersistentMap[str, int] = EMPTY
    unread: int = 0
    unknown: int = 0
    revision: int = 0

    def holders(self, digest: str, most: int) -> tuple[NodeId, ...]:
        """At most `most` nodes that announce a manifest."""
        found = (instance.node for instance in self.instances.values() if instance.digest == digest)
        return tuple(islice(found, most))


class AllInstances(Mapping[Key, Instance]):
    """The instances of all servers, as one mapping that copies nothing."""

    __slots__ = ("_servers", "_size")

    def __init__(self, servers: PersistentMap[str, ServerInstances], size: int) -> None:
        self._servers = servers
        self._size = size

    def __getitem__(self, key: Key) -> Instance:
        return self._servers[key[2]].instances[key]

    def __iter__(self) -> Iterator[Key]:
        for server in self._servers.values():
            yield from server.instances

    def __len__(self) -> int:
        return self._size


class _Heard:
    """What is remembered of an instance that is up."""

    __slots__ = ("at", "seq", "skew_ms")

    def __init__(self, at: float, seq: int, skew_ms: int) -> None:
        self.at = at
        self.seq = seq
        self.skew_ms = skew_ms


class Hearing:
    """When each instance was last heard of, its clock, and its newest announcement; it changes in place.

    Those that are up are kept in the order in which they were heard, so that the silent ones are found
    without looking at the others. Of those that have left only the number of the last announcement is kept,
    so that an older one that was on its way does not bring them back; they take no room from the living.
    """

    def __init__(self) -> None:
        self._up: OrderedDict[Key, _Heard] = OrderedDict()
        self._left: OrderedDict[Key, tuple[float, int]] = OrderedDict()
        self._of_one: dict[tuple[str, str], int] = {}
        self._ahead = [0] * (_MAX_SKEW_MS // _SKEW_STEP_MS + 1)
        """How many clocks are ahead of ours, by steps; the last step has all that are further ahead."""
        self.ahead_ms = 0
        """How far the clock that is furthest ahead of ours is, rounded up to 50 ms; 2,000 ms at the most."""

    def __len__(self) -> int:
        return len(self._up)

    @property
    def remembered(self) -> int:
        """How many that have left are remembered."""
        return len(self._left)

    def is_news(self, announcement: Announcement) -> bool:
        """Whether `announcement` is newer than what was heard from that node for that server."""
        key = key_of(announcement)
        known = self._up.get(key)
        if known is not None:
            return announcement.seq > known.seq
        left = self._left.get(key)
        return left is None or announcement.seq > left[1]

    def has_room(self, announcement: Announcement) -> bool:
        """Whether it may be remembered; who announces instances without end fills its own share."""
        if announcement.state == "down" or key_of(announcement) in self._up:
            return True
        mine = self._of_one.get((announcement.identity, announcement.server), 0)
        return mine < MAX_OF_ONE and len(self._up) < MAX_HEARD

    def heard(self, announcement: Announcement, now: float, wall_ms: int | None = None) -> None:
        """Remember an announcement.

        Args:
            announcement: newer than what was heard before (`is_news`).
            now: our monotonic time in seconds.
            wall_ms: our wall clock; without it the node's clock is taken to be right.
        """
        key = key_of(announcement)
        if announcement.state == "down":
            self._leave(key, now, announcement.seq)
            return
        skew_ms = 0 if wall_ms is None else announcement.clock_ms - wall_ms
        known = self._up.get(key)
        if known is None:
            left = self._left.pop(key, None)
            seq = announcement.seq if left is None else max(announcement.seq, left[1])
            self._up[key] = _Heard(now, seq, skew_ms)
            one = (key[0], key[2])
            self._of_one[one] = self._of_one.get(one, 0) + 1
        else:
            self._count(known.skew_ms, -1)
            known.at, known.skew_ms = now, skew_ms
            known.seq = max(known.seq, announcement.seq)
            self._up.move_to_end(key)
        self._count(skew_ms, 1)

    def left(self, keys: Iterable[Key], now: float) -> None:
        """These are gone: they take no room any more."""
        for key in keys:
            self._leave(key, now, -1)

    def last_heard(self, instance: Instance) -> float:
        """When it was (monotonic s); minus infinity if never."""
        known = self._up.get(instance.key)
        return float("-inf") if known is None else known.at

    def skew_ms(self, instance: Instance) -> int:
        """How far the node's clock is ahead of ours, the way of its last announcement included."""
        known = self._up.get(instance.key)
        return 0 if known is None else known.skew_ms

    def silent(self, limit: float, most: int | None = None) -> list[Key]:
        """Those that are up and were last heard before `limit`, the longest silent first; `most` of them."""
        found: list[Key] = []
        for key, known in self._up.items():
            if known.at >= limit or len(found) == most:
                break
            found.append(key)
        return found

    def forget_before(self, limit: float) -> None:
        """Forget who was last heard, or left, before `limit`."""
        for key in self.silent(limit):
            self._drop(key)
        while self._left and next(iter(self._left.values()))[0] < limit:
            _ = self._left.popitem(last=False)

    def _count(self, skew_ms: int, by: int) -> None:
        """One clock more, or less, that is so far ahead; costs the same however many there are."""
        step = -(-min(max(skew_ms, 0), _MAX_SKEW_MS) // _SKEW_STEP_MS)
        ahead = self._ahead
        ahead[step] += by
        highest = max(step, self.ahead_ms // _SKEW_STEP_MS)
        while highest and not ahead[highest]:
            highest -= 1
        self.ahead_ms = highest * _SKEW_STEP_MS

    def _leave(self, key: Key, now: float, seq: int) -> None:
        known = self._drop(key)
        left = self._left.pop(key, None)
        if known is not None:
            seq = max(seq, known.seq)
        if left is not None:
            seq = max(seq, left[1])
        self._left[key] = (now, seq)
        if len(self._left) > MAX_HEARD:
            _ = self._left.popitem(last=False)

    def _drop(self, key: Key) -> _Heard | None:
        known = self._up.pop(key, None)
        if known is not None:
            self._count(known.skew_ms, -1)
            one = (key[0], key[2])
            self._of_one[one] -= 1
            if not self._of_one[one]:
                del self._of_one[one]
        return known


def key_of(announcement: Announcement) -> Key:
    """What identifies the instance that announces itself."""
    return (announcement.identity, announcement.instance, announcement.server)
