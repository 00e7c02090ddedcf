"""How much may be under way at once: in all, and for each caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longreach_gateway.answers import too_busy

if TYPE_CHECKING:
    from longreach.wire.jsonrpc import RequestId


class Limits:
    """Counts what is under way.

    Args:
        most: exchanges at once, subscriptions not counted.
        per_caller: exchanges and subscriptions at once of one principal; anonymous ones share only `most`.
        subscriptions: subscriptions at once.
    """

    def __init__(self, most: int, per_caller: int, subscriptions: int) -> None:
        self._most = most
        self._per_caller = per_caller
        self._subscriptions = subscriptions
        self._of: dict[str, int] = {}

    def admit(self, running: int) -> None:
        """One more exchange, besides `running` others.

        Raises:
            Refusal: there are too many (503).
        """
        if running >= self._most:
            raise too_busy(503, "the gateway has as many requests as it takes at once; ask again soon")

    def enter(self, caller: str | None, request_id: RequestId) -> None:
        """One more request of `caller`; `leave` ends it.

        Raises:
            Refusal: it has too many (429).
        """
        if caller is None:
            return
        count = self._of.get(caller, 0)
        if count >= self._per_caller:
            text = f"more than {self._per_caller} requests of yours are under way; let some of them end"
            raise too_busy(429, text, request_id)
        self._of[caller] = count + 1

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
