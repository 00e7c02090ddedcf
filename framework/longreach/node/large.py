"""Bodies of one node that no message holds, in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longreach.node.requests import LargeRequests
from longreach.node.results import LargeResults

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.clock import Clock
    from longreach.node.replies import Replies
    from longreach.policy.calls import CallBook
    from longreach.tasks import TaskSet


class LargeBodies:
    """Large results and large requests of one node.

    Args:
        replies: sends.
        book: the node's memory of calls.
        clock: the time.
        tasks: own what goes on for each body.
        me: (identity, instance, region) of the node.
        max_payload: asks the link for the broker's limit, in bytes.
        max_body: the largest body, in bytes.
        compress: whether results are compressed for askers that want that.
    """

    def __init__(
        self,
        replies: Replies,
        book: CallBook,
        clock: Clock,
        tasks: TaskSet,
        *,
        me: tuple[str, str, str],
        max_payload: Callable[[], int],
        max_body: int,
        compress: bool = False,
    ) -> None:
        self.results = LargeResults(
            replies, book, clock, tasks, me=me, max_payload=max_payload, max_body=max_body, compress=compress
        )
        self.requests = LargeRequests(
            replies, book, clock, tasks, me=me, max_payload=max_payload, max_body=max_body
        )

    def drop(self, key: str) -> None:
        """Nobody waits for that call any more."""
        if not self.results.drop(key):
            self.requests.drop(key)

    def close(self) -> None:
        """Keep nothing."""
        self.results.close()
