"""Hears the other nodes of a server that limits its callers over all of them, and keeps this node's share."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

import msgspec

from longreach.observe import event
from longreach.policy.fleet import Fleet
from longreach.wire import frames
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.clock import Clock
    from longreach.transport.link import Headers, Link, Subscription

_log = logging.getLogger("longreach.node.fleet")
_WELCOME_S = 0.5
"""A node that hears of a new one tells it within this time that it is there too; once for all new ones."""


class FleetWatch:
    """This node's share of what the nodes of one server in its region may do together.

    It hears announcements of its own region only, so that nothing crosses regions for it.

    Args:
        link: the connection.
        clock: the time.
        namespace: namespace token.
        region: region token.
        server: the server's name.
        me: ``identity.instance``.
        share: told the share, 0 to 1, at each announcement.
        announce: announces this node again.
    """

    def __init__(
        self,
        link: Link,
        clock: Clock,
        *,
        namespace: str,
        region: str,
        server: str,
        me: str,
        share: Callable[[float], None],
        announce: Callable[[], None],
    ) -> None:
        self._link = link
        self._clock = clock
        self._subject = f"{ROOT}.{namespace}.{region}.adv.{encode_token(server)}.*.*"
        self._server = server
        self._me = me
        self._share = share
        self._announce = announce
        self._fleet = Fleet(me, clock.monotonic())
        self._subscription: Subscription | None = None
        self._welcome: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Hear them; once more does nothing."""
        if self._subscription is None:
            self._subscription = self._link.subscribe(self._subject, self._heard)

    def close(self) -> None:
        """Hear no more."""
        if self._subscription is not None:
            self._link.unsubscribe(self._subscription)
            self._subscription = None
        if self._welcome is not None:
            self._welcome.cancel()
            self._welcome = None

    def _heard(self, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        try:
            said = frames.decode(data, frames.Announcement)
        except msgspec.DecodeError as error:
            event(_log, "announcement.malformed", logging.DEBUG, reason=str(error))
            return
        if self._subscription is None or said.server != self._server:
            return
        # By the subject, whose tokens the broker's permissions vouch for: a node counts itself only.
        node, now = ".".join(subject.split(".")[6:8]), self._clock.monotonic()
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
