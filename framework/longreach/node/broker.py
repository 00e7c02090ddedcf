"""Which broker a node uses: the one it is told of, or this user's embedded one.

A node on the embedded broker also keeps it alive: if its owner is gone, the first node that notices
starts it again, on the same port and with the same token, so that everybody else just reconnects.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec

from longreach.errors import BrokerUnavailable, LongreachError
from longreach.observe import event
from longreach.threads import CHORES, NoRoom, in_thread
from longreach.transport.embedded import EmbeddedBroker, Found
from longreach.transport.natslink import NatsLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.tasks import TaskSet
    from longreach.transport.link import Link, LinkState
    from longreach.transport.options import NatsOptions

_log = logging.getLogger("longreach.node.broker")
_TAKE_OVER_EVERY_S = 0.5
_OPEN_TIMEOUT_S = 3.0
"""For a broker that was there a moment ago; one that is not is looked for, or started, anew."""

Owned = TypeVar("Owned", bound="Found | EmbeddedBroker | None")


async def open_link(options: NatsOptions, tasks: TaskSet) -> tuple[Link, BrokerWatch | None]:
    """Connect as `options` say; without URLs, to the embedded broker, which is started if need be.

    Waits for a broker that is not up yet.

    Raises:
        CredentialsRejected: the broker does not accept the credentials.
        ConfigError: there is no URL and no nats-server to embed.
    """
    if options.urls:
        return await NatsLink.open(options, wait=True, timeout_s=None), None
    while True:
        found = await _owned(EmbeddedBroker.find_or_start)
        there = msgspec.structs.replace(options, urls=(found.url,), token=found.token)
        try:
            link = await NatsLink.open(there, wait=True, timeout_s=_OPEN_TIMEOUT_S)
        except BrokerUnavailable as error:  # its owner ended just now: find another, or start one
            event(_log, "broker.gone", logging.WARNING, reason=str(error))
            await _stop(found.handle)
        except BaseException:
            await _stop(found.handle)
            raise
        else:
            watch = BrokerWatch(found, tasks)
            link.on_change(watch.link_changed)
            return link, watch


async def _owned(make: Callable[[], Owned]) -> Owned:
    """What `make` makes in a thread; where nobody waits for it any more, a broker in it is stopped."""
    made: list[EmbeddedBroker] = []
    abandoned = threading.Event()

    def work() -> Owned:
        what = make()
        handle: EmbeddedBroker | None = what.handle if isinstance(what, Found) else what
        if handle is not None:
            made.append(handle)
            if abandoned.is_set():
                handle.stop()
        return what

    try:
        return await in_thread(CHORES, work)
    except asyncio.CancelledError:
        abandoned.set()
        for handle in made:
            await _stop(handle)
        raise


async def _stop(handle: EmbeddedBroker | None) -> None:
    if handle is not None:
        await in_thread(CHORES, handle.stop)


class BrokerWatch:
    """Takes the embedded broker over when its owner is gone.

    Args:
        found: the broker, and the handle if this process owns it.
        tasks: owns the attempts.
    """

    def __init__(self, found: Found, tasks: TaskSet) -> None:
        self._found = found
        self._handle = found.handle
        self._tasks = tasks
        self._attempts: asyncio.Task[None] | None = None
        self._up = True

    def link_changed(self, state: LinkState) -> None:
        """The link went up or down."""
        self._up = state.status == "up"
        idle = self._attempts is None or self._attempts.done()
        if not self._up and state.status != "closed" and idle:
            self._attempts = self._tasks.spawn(self._take_over(), name="broker take-over")

    async def close(self, link: Link | None) -> None:
        """The node ends: close the link, and stop the broker if this process owns it."""
        if self._attempts is not None:
            self._attempts.cancel()
            await asyncio.wait({self._attempts})
        if link is not None:
            await link.close()
        handle, self._handle = self._handle, None
        await _stop(handle)

    async def _take_over(self) -> None:
        while not self._up:
            await asyncio.sleep(_TAKE_OVER_EVERY_S * random.random())  # noqa: S311 - jitter, no secret
            if self._up:
                return
            try:
                handle = await _owned(partial(EmbeddedBroker.take_over, self._found.url, self._found.token))
            except (LongreachError, OSError, NoRoom) as error:  # it is tried again, whatever is short now
                event(_log, "broker.take_over_failed", logging.WARNING, reason=str(error))
                continue
            if handle is not None:
                old, self._handle = self._handle, handle
                await _stop(old)  # it has ended, and its guard is still to be buried
                event(_log, "broker.taken_over", url=self._found.url)
            await asyncio.sleep(_TAKE_OVER_EVERY_S)
