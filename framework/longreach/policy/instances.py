"""Servers on nodes, as they announce themselves, and when each was last heard of.

Source: docs/binding.md 8.
"""

from __future__ import annotations

from typing import NamedTuple

from longreach.policy.liveness import NodeId
from longreach.wire.frames import Announcement

Key = tuple[str, str, str]

MAX_OF_ONE = 2000
"""So many instances of a server under one identity are heard: what announces more is broken, or hostile."""
MAX_HEARD = 50_000
"""And so many in all."""


class Instance(NamedTuple):
    """A server on a node.

    `canary` is the share of calls, in percent, that a canary takes; None: it is none, and takes part in the
    groups of all.
    """

    server: str
    identity: str
    instance: str
    region: str
    version: str
    digest: str
    labels: tuple[tuple[str, str], ...]
    skew_ms: int
    canary: int | None = None

    @property
    def key(self) -> Key:
        """What identifies it."""
        return (self.identity, self.instance, self.server)

    @property
    def node(self) -> NodeId:
        """The node it is on."""
        return NodeId(self.region, self.identity, self.instance)


class Hearing:
    """When each instance was last heard of, and the newest announcement of each; it changes in place."""

    def __init__(self) -> None:
        self._at: dict[Key, float] = {}
        self._seq: dict[Key, int] = {}
        self._of_one: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._at)

    def is_news(self, announcement: Announcement) -> bool:
        """Whether `announcement` is newer than what was heard from that node for that server."""
        return announcement.seq > self._seq.get(key_of(announcement), -1)

    def has_room(self, announcement: Announcement) -> bool:
        """Whether it may be remembered; who announces instances without end fills its own share."""
        if key_of(announcement) in self._at:
            return True
        mine = self._of_one.get((announcement.identity, announcement.server), 0)
        return mine < MAX_OF_ONE and len(self._at) < MAX_HEARD

    def heard(self, announcement: Announcement, now: float) -> None:
        """Remember it."""
        key = key_of(announcement)
        if key not in self._at:
            one = (announcement.identity, announcement.server)
            self._of_one[one] = self._of_one.get(one, 0) + 1
        self._at[key] = now
        self._seq[key] = max(announcement.seq, self._seq.get(key, -1))

    def last_heard(self, instance: Instance) -> float:
        """When it was (monotonic s); minus infinity if never."""
        return self._at.get(instance.key, float("-inf"))

    def forget_before(self, limit: float) -> None:
        """Forget who was last heard before `limit`."""
        for key in [key for key, at in self._at.items() if at < limit]:
            del self._at[key]
            self._seq.pop(key, None)
            one = (key[0], key[2])
            self._of_one[one] -= 1
            if not self._of_one[one]:
                del self._of_one[one]


def key_of(announcement: Announcement) -> Key:
    """What identifies the instance that announces itself."""
    return (announcement.identity, announcement.instance, announcement.server)
