"""How much may be under way at once, in all and for each caller, and how much may come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from longreach_gateway.answers import too_busy

if TYPE_CHECKING:
    from longreach.policy.limits import Limiter
    from longreach.wire.jsonrpc import RequestId

ANONYMOUS = ""
"""Whose rate those share that are nobody."""


class Limits:
    """Counts what is under way, and what comes.

    Args:
        most: exchanges at once, subscriptions not counted.
        per_caller: exchanges and subscriptions at once of one principal; anonymous ones share only `most`.
        subscriptions: subscriptions at once.
        rate: how often one principal may ask, anonymous ones together; None: as often as it likes.
        now: monotonic seconds.
    """

    def __init__(
        self,
        most: int,
        per_caller: int,
        subscriptions: int,
        rate: Limiter | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._now = now
        self._most = most
        self._per_caller = per_caller
        self._subscriptions = subscriptions
        self._of: dict[str, int] = {}
        self._reading: dict[str, int] = {}

    def admit(self, running: int) -> None:
        """One more exchange, besides `running` others.

        Raises:
            Refusal: there are too many (503).
        """
        if running >= self._most:
            raise too_busy(503, "the gateway has as many requests as it takes at once; ask again soon")

    def begin_body(self, caller: str | None) -> None:
        """One more body of `caller` is read; `end_body` ends it.

        What it asks for is counted by `enter`, once it was read. Without this, one principal could take all
        places of the gateway with bodies that it never ends.

        Raises:
            Refusal: it has as many bodies under way as it may have requests (429).
        """
        if caller is None:
            return
        count = self._reading.get(caller, 0)
        if count >= self._per_caller:
            text = f"more than {self._per_caller} requests of yours are on their way; let some of them end"
            raise too_busy(429, text, limit="concurrency")
        self._reading[caller] = count + 1

    def end_body(self, caller: str | None) -> None:
        """A body of `caller` was read, or never will be."""
        if caller is None:
            return
        left = self._reading[caller] - 1
        if left:
            self._reading[caller] = left
        else:
            del self._reading[caller]

    def enter(self, caller: str | None, request_id: RequestId) -> None:
        """One more request of `caller`; `leave` ends it.

        Raises:
            Refusal: it has too many, or asks too often (429).
        """
        if self._rate is not None:
            self._check_rate(self._rate, caller, request_id)
        if caller is None:
            return
        count = self._of.get(caller, 0)
        if count >= self._per_caller:
            text = f"more than {self._per_caller} requests of yours are under way; let some of them end"
            raise too_busy(429, text, request_id, limit="concurrency")
        self._of[caller] = count + 1

    def _check_rate(self, rate: Limiter, caller: str | None, request_id: RequestId) -> None:
        limited = rate.enter(ANONYMOUS if caller is None else caller, self._now())
        if limited is not None:
            text = f"you ask more than {rate.limits.rate_per_s:g} times a second; ask again a little later"
            raise too_busy(429, text, request_id, limited.retry_after_s, limited.limit)

    def leave(self, caller: str | None) -> None:
        """A request of `caller` is over."""
        if caller is None:
            return
        left = self._of[caller] - 1
        if left:
            self._of[caller] = left
        else:
            del self._of[caller]

    def listen(self, listening: int, request_id: RequestId) -> None:
        """One more subscription, besides `listening` others.

        Raises:
            Refusal: there are too many (503).
        """
        if listening >= self._subscriptions:
            raise too_busy(503, "the gateway has as many subscriptions as it takes", request_id)
