"""What bodies that no message holds are carried with, in either direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.clock import Clock
    from longreach.node.replies import Replies
    from longreach.policy.calls import CallBook
    from longreach.tasks import TaskSet


class Carrier(NamedTuple):
    """What large results and large requests of one node share.

    Attributes:
        replies: sends.
        book: the node's memory of calls.
        clock: the time.
        tasks: own what goes on for each body.
        me: (identity, instance, region) of the node.
        max_payload: asks the link for the broker's limit, in bytes.
        max_body: the largest body, in bytes.
    """

    replies: Replies
    book: CallBook
    clock: Clock
    tasks: TaskSet
    me: tuple[str, str, str]
    max_payload: Callable[[], int]
    max_body: int
