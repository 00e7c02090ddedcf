"""Hears the other nodes of a server that limits its callers over all of them, and keeps this node's share."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import msgspec

from longreach.policy.fleet import Fleet
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.clock import Clock
    from longreach.node.peers import Peers
    from longreach.wire import frames

_WELCOME_S = 0.5
"""A node that hears of a new one tells it within this time that it is there too; once for all new ones."""


class FleetWatch:
    """This node's share of what the nodes of one server in its region may do together.

    It hears announcements of its own region only, so that nothing crosses regions for it.

    Args:
        peers: the nodes of the server, which are heard already.
        clock: the time.
        me: ``identity.instance``.
        share: told the share, 0 to 1, at each announcement.
        announce: announces this node again.
    """

    def __init__(
        self,
        peers: Peers,
        clock: Clock,
        *,
        me: str,
        share: Callable[[float], None],
        announce: Callable[[], object],
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._me = me
        self._share = share
        self._announce = announce
        self._fleet = Fleet(me, clock.monotonic())
        self._stop_hearing: Callable[[], None] | None = None
        self._welcome: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Hear them; once more does nothing."""
        if self._stop_hearing is None:
            self._stop_hearing = self._peers.listen(self._heard)

    def close(self) -> None:
        """Hear no more."""
        if self._stop_hearing is not None:
            self._stop_hearing()
            self._stop_hearing = None
        if self._welcome is not None:
            self._welcome.cancel()
            self._welcome = None

    def _heard(self, said: frames.Announcement) -> None:
        node = f"{encode_token(said.identity)}.{encode_token(said.instance)}"
        now = self._clock.monotonic()
        if said.state == "down":
            self._fleet.gone(node)
        elif self._fleet.heard(node, now, None if said.stats is msgspec.UNSET else said.stats.calls):
            self._greet()
        self._share(self._fleet.share(now))

    def _greet(self) -> None:
        """Somebody new does not know of this node yet."""
        if self._welcome is None:
            after_s = random.uniform(0, _WELCOME_S)  # noqa: S311 - jitter, no secret
            self._welcome = asyncio.get_running_loop().call_later(after_s, self._greeted)

    def _greeted(self) -> None:
        self._welcome = None
        self._announce()
