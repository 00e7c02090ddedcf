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

    def drop(self, key: str) -> None:
        """Nobody waits for that call any more."""
        if not self.results.drop(key):
            self.requests.drop(key)

    def close(self) -> None:
        """Keep nothing."""
        self.results.close()
