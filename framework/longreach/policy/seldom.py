"""What would be logged for each of many messages is logged once in a while, with a count."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

EVERY_S = 60.0
_MAX_KEYS = 1000


class Seldom:
    """Says when it is time to tell the same thing again.

    Args:
        every_s: the least time between two reports under one key.
    """

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._told: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def due(self, key: Hashable, now: float) -> int | None:
        """How often it happened since it was told last, this time included; None: it is not time yet.

        Args:
            key: what happened; of more than 1,000 keys the one told longest ago is forgotten.
            now: monotonic seconds.
        """
        at, kept_back = self._told.get(key, (float("-inf"), 0))
        if now - at < self._every_s:
            self._told[key] = (at, kept_back + 1)
            return None
        self._told[key] = (now, 0)
        self._told.move_to_end(key)
        if len(self._told) > _MAX_KEYS:
            _ = self._told.popitem(last=False)
        return kept_back + 1
