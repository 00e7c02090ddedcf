"""What was read of resources, for as long as its server says that it may be kept.

Source: MCP 2026-07-28 server/utilities/caching.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from longreach.client.results import RawRead
    from longreach.clock import Clock

MAX_KEPT = 256
MAX_KEPT_BYTES = 16 * 1024 * 1024
MAX_TTL_S = 86_400.0


class Key(NamedTuple):
    """What was read, and by which options: others may not be shown it."""

    server: str
    uri: str
    residency: frozenset[str] | None
    node: str | None
    version: str | None = None


class _Kept(NamedTuple):
    result: RawRead
    until: float
    size: int


class Kept:
    """Results of reads, the newest 256 and 16 MiB; nobody sees one that is older than it may be.

    A read that began before something was dropped is not kept: it may have seen what was there before.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._size = 0
        self.generation = 0
        """Grows with each drop."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> RawRead | None:
        """What is kept under `key`, if it is still fresh."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if self._clock.monotonic() >= kept.until:
            self._remove(key)
            return None
        return kept.result

    def put(self, key: Key, result: RawRead, size: int, generation: int) -> None:
        """Keep it for as long as it says.

        Args:
            key: what was read.
            result: what it holds.
            size: its size in bytes.
            generation: when the read began.
        """
        if result.ttl_ms <= 0 or size > MAX_KEPT_BYTES // 4 or generation != self.generation:
            return
        self._remove(key)
        ttl_s = min(result.ttl_ms / 1000, MAX_TTL_S)
        self._kept[key] = _Kept(result, self._clock.monotonic() + ttl_s, size)
        self._size += size
        while len(self._kept) > MAX_KEPT or self._size > MAX_KEPT_BYTES:
            self._remove(next(iter(self._kept)))

    def drop(self, server: str, uri: str | None = None) -> None:
        """A resource was updated, or all those of a server may have been."""
        self.generation += 1
        for key in [key for key in self._kept if key.server == server and uri in (None, key.uri)]:
            self._remove(key)

    def clear(self) -> None:
        """Updates may have been missed: of everything."""
        self.generation += 1
        self._kept.clear()
        self._size = 0

    def _remove(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= kept.size
