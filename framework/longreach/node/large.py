"""Bodies of one node that no message holds, in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longreach.node.requests import LargeRequests
from longreach.node.results import LargeResults

if TYPE_CHECKING:
    from longreach.node.carrier import Carrier


class LargeBodies:
    """Large results and large requests of one node.

    Args:
        carrier: what they share.
        compress: whether results are compressed for askers that want that.
    """

    def __init__(self, carrier: Carrier, *, compress: bool = False) -> None:
        self.results = LargeResults(carrier, compress=compress)
        self.requests = LargeRequests(carrier)

    def drop(self, key: str, why: str) -> bool:
        """Forget the bodies of a call that nobody waits for any more; return False if there are none."""
        return self.results.drop(key, None if why == "cancelled" else why) or self.requests.drop(key)

    def close(self) -> None:
        """Keep nothing, and tell those who wait."""
        self.requests.drain()
        self.results.close()
