"""Servers on nodes, as they announce themselves, and when each was last heard of.

Source: docs/binding.md 8.
"""

from __future__ import annotations

from typing import NamedTuple

from longreach.policy.liveness import NodeId
from longreach.wire.frames import Announcement

Key = tuple[str, str, str]


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

    def is_news(self, announcement: Announcement) -> bool:
        """Whether `announcement` is newer than what was heard from that node for that server."""
        return announcement.seq > self._seq.get(key_of(announcement), -1)

    def heard(self, announcement: Announcement, now: float) -> None:
        """Remember it."""
        key = key_of(announcement)
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


def key_of(announcement: Announcement) -> Key:
    """What identifies the instance that announces itself."""
    return (announcement.identity, announcement.instance, announcement.server)
