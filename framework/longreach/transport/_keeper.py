"""When a link that is up should move to another connection: decided here, done by the link."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from longreach.errors import LongreachError
from longreach.observe import event
from longreach.transport._connector import Connector, Made
from longreach.transport._credentials import life, stamp
from longreach.transport._urls import Target, Told, preferred

_log = logging.getLogger("longreach.transport")

_LIFE_SHARE = 0.25
"""How often a JWT is looked at, of what is left of its life."""
_SOONEST_S = 0.1
_RETRY_S = 0.5
_MAX_RETRY_S = 30.0


class _Wish(NamedTuple):
    """A reason to move, where to, and whether it is one to move to a broker that hears less."""

    why: str
    targets: Sequence[Target]
    must: bool


class Keeper:
    """Looks after one time in which a link is up.

    Args:
        connector: makes connections.
        told: the brokers that brokers told of.
        made: the connection that the link came up with.
        move: moves the link.
    """

    def __init__(
        self,
        connector: Connector,
        told: Told,
        made: Made,
        move: Callable[[Made, str, bool], Awaitable[None]],
    ) -> None:
        self._connector = connector
        self._told = told
        self._made = made
        self._move = move
        self._options = made.options
        self._wake = asyncio.Event()
        self._failures = 0
        self._retry_at = 0.0
        self._failback_at = self._next_failback()
        self._said_late = False

    def look(self) -> None:
        """Something is new: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            self._wake.clear()
            wish = self._wish()
            if wish is not None and asyncio.get_running_loop().time() >= self._retry_at:
                await self._try(wish)

    async def _try(self, wish: _Wish) -> None:
        client = self._made.client
        try:
            made = await self._connector.once(self._options, wish.targets)
            await self._move(made, wish.why, not wish.must)
        except LongreachError as error:
            level = logging.WARNING if wish.must else logging.DEBUG
            event(_log, "link.move_failed", level, why=wish.why, reason=str(error))
            if not client.ended:
                self._failed(wish)
        else:
            self._made = made
            self._failures = 0
            self._said_late = False
            self._failback_at = self._next_failback()

    def _failed(self, wish: _Wish) -> None:
        if not wish.must:
            self._failback_at = self._next_failback()
            return
        self._failures += 1
        wait_s = min(_RETRY_S * 2 ** min(self._failures, 10), _MAX_RETRY_S)
        if wish.why == "lame duck":  # time runs out, and other brokers may be on their way up
            wait_s = min(wait_s, 2.0)
        self._retry_at = asyncio.get_running_loop().time() + wait_s * random.uniform(0.5, 1.0)  # noqa: S311

    def _wish(self) -> _Wish | None:
        here = self._made.target
        told = self._ask()
        if self._made.client.is_lame:
            others = [target for target in self._told.targets(self._options) if target != here]
            return _Wish("lame duck", [*others, here], must=True)
        if told and stamp(self._options) != self._made.stamp:
            return _Wish("credentials", [here], must=True)
        better = preferred(self._options, here.url)
        if better and self._failback_at is not None and self._now() >= self._failback_at:
            return _Wish("home", better, must=False)
        return None

    def _ask(self) -> bool:
        try:
            self._options = self._connector.ask_options()
        except LongreachError as error:
            event(_log, "link.options_failed", logging.WARNING, reason=str(error))
            return False
        return True

    def _pause_s(self) -> float:
        """Until the next look."""
        pauses = [self._options.renew_every_s]
        lasts = life(self._options)
        if lasts is not None:
            pauses.append(lasts.left_s() * _LIFE_SHARE)
            if lasts.is_late() and not self._said_late:
                self._said_late = True
                event(_log, "credentials.expire", logging.WARNING, left_s=round(lasts.left_s(), 1))
        if self._failback_at is not None and preferred(self._options, self._made.target.url):
            pauses.append(self._failback_at - self._now())
        if self._made.client.is_lame:
            pauses.append(self._retry_at - self._now())
        return max(min(pauses), _SOONEST_S)

    def _next_failback(self) -> float | None:
        every_s = self._options.failback_s
        return None if every_s is None else self._now() + every_s * random.uniform(0.5, 1.5)  # noqa: S311

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
