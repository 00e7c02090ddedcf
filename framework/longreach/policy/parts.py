"""Which ranges of a body its receiver asks for, so that little is on its way at any time.

Nobody sends what was not asked for: a window of one range at first, that grows while ranges come quickly and
shrinks where they don't, so that a thin link is not filled with seconds of parts which a heartbeat would
have to wait behind. What does not come is asked for again.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A larger body is refused, unless it was set otherwise."""
BODIES_OF_ONE = 2
"""An asker may have so many bodies of the largest size on their way to, or from, one node."""
BODIES_OF_ALL = 4
"""And all askers of a node together."""
IDLE_S = 15.0
"""A request that does not get on for so long is given up."""
IDLE_RESULT_S = 60.0
"""A result that is not asked for so long is given up."""
KEEP_RESULT_S = 15.0
"""An asker that has no room yet asks for a byte of a result so often, so that it is kept."""
FIRST_BYTES = 32 * 1024
LEAST_BYTES = 8 * 1024
MOST_BYTES = 256 * 1024
LEAST_RANGES = 2
"""So many are on their way, so that a link is busy while the next one is asked for."""
MOST_RANGES = 4
QUICK_S = 0.25
SLOW_S = 1.0
AGAIN_S = 2.0
"""A range that has not come for so long, or for thrice what the last one took, is asked for again."""
MAX_AGAIN_S = 8.0


class Range(NamedTuple):
    """Bytes of a body."""

    at: int
    size: int


class Window:
    """What is on its way to the receiver of one body.

    Args:
        size: of the body.
        have: how much of it came with the offer.
        now: monotonic seconds.
        most: the largest range that a message holds.
    """

    def __init__(self, size: int, have: int, now: float, most: int = MOST_BYTES) -> None:
        self.size = size
        self.have = have
        self._most = max(1, min(most, MOST_BYTES))
        self._step = min(FIRST_BYTES, self._most)
        self._ahead = 1
        self._asked = have
        self._ranges: deque[tuple[Range, float]] = deque()
        self._moved_at = now
        self._again_s = AGAIN_S

    @property
    def is_whole(self) -> bool:
        """Whether everything is there."""
        return self.have >= self.size

    @property
    def idle_since(self) -> float:
        """When it last got on, in monotonic seconds."""
        return self._moved_at

    @property
    def due(self) -> float:
        """When what is on its way is to be asked for again."""
        last = self._ranges[-1][1] if self._ranges else self._moved_at
        return max(last, self._moved_at) + self._again_s

    def ask(self, now: float) -> list[Range]:
        """The ranges to ask for now."""
        if self._ranges and now >= self.due:
            self._ranges.clear()
            self._asked = self.have
            self._ahead = 1
            self._step = max(min(LEAST_BYTES, self._most), self._step // 2)
            self._again_s = min(MAX_AGAIN_S, 2 * self._again_s)
        wanted = []
        while len(self._ranges) < self._ahead and self._asked < self.size:
            each = Range(self._asked, min(self._step, self.size - self._asked))
            self._asked += each.size
            self._ranges.append((each, now))
            wanted.append(each)
        return wanted

    def came(self, at: int, size: int, now: float) -> bool:
        """A part came; False: it is not the next one, and of no use."""
        if at != self.have or not 0 < size <= self.size - self.have or not self._ranges:
            return False
        asked, asked_at = self._ranges.popleft()
        self.have += size
        took_s = now - asked_at
        self._moved_at = now
        self._again_s = max(AGAIN_S, min(MAX_AGAIN_S, 3 * took_s))
        if size != asked.size:  # a link between here and there carries less
            self._ranges.clear()
            self._asked = self.have
            self._most = self._step = max(1, min(size, asked.size))
            self._ahead = 1
        elif took_s < QUICK_S:
            self._step = min(2 * self._step, self._most)
            self._ahead = min(self._ahead + 1, MOST_RANGES)
        else:
            self._ahead = LEAST_RANGES
            if took_s > SLOW_S:
                self._step = max(min(LEAST_BYTES, self._most), self._step // 2)
        return True
