"""The health of all routes of one connection: breakers, the timer that lets them be tried, and the stamp.

Plans are kept as long as the `stamp` is the same object; it is renewed when the catalog changes or a breaker
moves, and so costs a call nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from longreach.client import endings
from longreach.observe import event
from longreach.policy.breaker import UNSEEN, Breaker, Seen

if TYPE_CHECKING:
    from longreach.clock import Clock
    from longreach.policy.retry import Failure

_log = logging.getLogger("longreach.client.health")
_MAX_ROUTES = 10_000
_LOST = frozenset({endings.NO_RESPONDERS, "node_died", "node_stuck", "gone", "nobody_has_it"})
"""How attempts end that say that a route does not work."""
_SILENT_S = 1.0
"""A deadline passed after at least so long, with no node having said that it has the call, says so too."""


class Health:
    """What calls have found out about routes.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self.stamp = object()
        """Another one when routes may have changed."""
        self.denied: dict[tuple[str, str], float] = {}
        """(target, region) that the broker refused since the link came up, and when."""
        self._clock = clock
        self._breakers: dict[tuple[str, str, str], Breaker] = {}
        self._ailing: dict[tuple[str, str, str], Breaker] = {}
        """Those that are not closed; few, so that what concerns them costs little."""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def renew(self) -> None:
        """Routes may have changed."""
        self.stamp = object()

    def breaker(self, server: str, region: str, to: str) -> Breaker:
        """The breaker of the route to a server, in a region, under a target token."""
        key = (server, region, to)
        found = self._breakers.get(key)
        if found is None:
            if len(self._breakers) >= _MAX_ROUTES:
                self._breakers = {k: b for k, b in self._breakers.items() if b.standing != "closed"}
            found = self._breakers[key] = Breaker()
        return found

    def of(self, server: str) -> Callable[[str, str], Seen]:
        """What is known of the routes to a server, by (region, target)."""

        def seen(region: str, to: str) -> Seen:
            found = self._breakers.get((server, region, to))
            return UNSEEN if found is None else found.seen

        return seen

    def refused(self, target: str, region: str) -> None:
        """The broker's permissions forbid it there."""
        if len(self.denied) >= _MAX_ROUTES:
            self.denied.clear()
        self.denied[target, region] = self._clock.monotonic()

    def lost(self, breaker: Breaker, failure: Failure, lasted_s: float) -> None:
        """An attempt ended without an answer."""
        silent = failure.reason == endings.DEADLINE and failure.node is None and lasted_s >= _SILENT_S
        if not silent and failure.reason not in _LOST:
            breaker.given_up()
        elif breaker.lost(self._clock.monotonic(), random.random):
            self.moved(breaker)

    def moved(self, breaker: Breaker) -> None:
        """A breaker's state has changed."""
        for (server, region, to), known in self._breakers.items():
            if known is breaker:
                if breaker.standing == "closed":
                    self._ailing.pop((server, region, to), None)
                else:
                    self._ailing[server, region, to] = breaker
                level = logging.DEBUG if breaker.standing == "half_open" else logging.WARNING
                event(
                    _log, f"route.{breaker.standing}", level, server=server, region=region, target=to,
                )  # fmt: skip
        self.renew()
        self._arm()

    def hope(self, server: str, region: str) -> None:
        """A node has come up there: what did not work may work again."""
        now = self._clock.monotonic()
        for (known, where, _), breaker in tuple(self._ailing.items()):
            if (known, where) == (server, region) and breaker.hope(now):
                self.moved(breaker)

    def close(self) -> None:
        """No timer any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [breaker.due_at for breaker in self._breakers.values() if breaker.standing == "open"]
        if due and not self._closed:
            wait_s = max(0.001, min(due) - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        for breaker in tuple(self._breakers.values()):
            if breaker.tick(now):
                self.moved(breaker)
        self._arm()
