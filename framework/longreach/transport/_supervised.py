"""The connection in use: how it comes up, moves, is lost, and comes again.

One loop: connect (URLs in order, home first), write all subscriptions, be up, lose the connection, begin
again. A connection that ended is never used again; each new one reads credentials anew. While it is up it may
move to another connection, make before break: when the broker asks its clients to go, when credentials were
renewed, when a broker that is preferred is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from longreach.errors import BrokerUnavailable, CredentialsRejected, LongreachError
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.transport._client import NatsClient
from longreach.transport._connector import Connector, Made
from longreach.transport._handover import Handover, write_sub
from longreach.transport._keeper import Keeper
from longreach.transport._listeners import LinkListeners
from longreach.transport._urls import Told
from longreach.transport._violations import read_violation
from longreach.transport._watchdog import Watchdogs
from longreach.transport.link import MAX_UNFLUSHED_BYTES, LinkState, Sink, Subscription
from longreach.transport.options import NatsOptions

_log = logging.getLogger("longreach.transport")
_DEFAULT_MAX_PAYLOAD = 1024 * 1024
_CREDENTIALS = ("authorization", "authentication", "credentials")


class Supervised:
    """What a link has while it lives: at most one connection in use, and what outlives connections.

    Args:
        options: asked for anew for each connection.
    """

    def __init__(self, options: NatsOptions | Callable[[], NatsOptions]) -> None:
        self._listeners = LinkListeners()
        self.on_change = self._listeners.on_change
        self.on_denied = self._listeners.on_denied
        self._options = options if callable(options) else lambda: options
        self._tasks = TaskSet("link")
        self._supervisor: asyncio.Task[None] | None = None
        self._client: NatsClient | None = None
        self._lost: asyncio.Future[None] | None = None
        self._handover: Handover | None = None
        self._keeper: Keeper | None = None
        self._told = Told()
        self._dogs = Watchdogs(self._tasks)
        self._news = asyncio.Event()  # up, closed, or refused while opening: who waits looks again
        self._closed = False
        self._reason = "not connected yet"
        self._sinks: dict[int, Sink] = {}
        self._subscriptions: dict[int, Subscription] = {}
        self._room_wanted: list[Callable[[], None]] = []
        self._last_sid = 0
        self._opening = False
        self._rejected: CredentialsRejected | None = None
        self.is_up = False
        self.url: str | None = None
        self.max_payload = _DEFAULT_MAX_PAYLOAD
        self.max_unflushed_bytes = MAX_UNFLUSHED_BYTES

    def _new_client(self) -> NatsClient:
        return NatsClient(
            self._sinks, self._client_lost, self._client_error, self._client_told, self._client_has_room
        )

    async def _supervise(self, connector: Connector) -> None:
        self._tell("connecting", "")
        while True:
            made = await connector.connect(self._attempt_failed)
            if made.client.ended:  # lost between its handshake and here
                self._reason = f"the connection to {made.client.shown_url} was lost: {made.client.end_reason}"
                continue
            self._lost = asyncio.get_running_loop().create_future()
            self._take(made)
            self._keeper = Keeper(connector, self._told, made, self._move)
            keeping = self._tasks.spawn(self._keeper.run(), name="link keeper")
            try:
                await self._lost
            finally:
                self._keeper = None
                keeping.cancel()
                await asyncio.wait({keeping})

    def _take(self, made: Made) -> None:
        """The connection stands: write the subscriptions, in order, before anybody can send."""
        for subscription in self._subscriptions.values():
            write_sub(made.client, subscription)
        self._dogs.watch(made.client, made.options)
        self._use(made)
        self.is_up = True
        self._reason = ""
        self._news.set()
        event(_log, "link.up", url=self.url, name=made.options.name)
        self._tell("up", "")

    def _use(self, made: Made) -> None:
        client = made.client
        self._client = client
        self.max_payload = client.max_payload
        self.url = client.shown_url
        self._told.heard(client.url, client.told_urls)
        client.set_marks()
        if self._room_wanted:
            client.want_room()

    async def _move(self, made: Made, why: str, check: bool) -> None:
        """Go over to the connection `made`, which is up, without losing anything.

        Raises:
            BrokerUnavailable: it is no good; the link stays where it is.
        """
        old, there = self._client, self.url
        if old is None:
            made.client.abort("not moved")
            return
        handover = self._handover = Handover(old, made.client, self._sinks)
        self._dogs.watch(made.client, made.options)

        def use() -> None:
            if self._client is not old:
                raise BrokerUnavailable("the connection was lost before the other one could take its place")
            self._use(made)
            event(_log, "link.moved", url=self.url, left=there, why=why)

        try:
            clean = await handover.run(self._subscriptions, use, check=check)
        finally:
            self._handover = None
            for client in (old, made.client):
                if client is not self._client:
                    self._dogs.unwatch(client)
        if clean:
            await handover.bury()
        elif self._client is made.client:  # who waits for something may wait in vain: let them ask
            self._tell("down", "left unclean")
            self._tell("up", "")

    def _client_told(self, client: NatsClient) -> None:
        """The broker said something about itself, or those beside it."""
        if client.is_lame:
            event(_log, "broker.lame_duck", logging.WARNING, url=client.shown_url)
        if client is self._client:
            self._told.heard(client.url, client.told_urls)
            if client.is_lame and self._keeper is not None:
                self._keeper.look()

    def _client_has_room(self, client: NatsClient) -> None:
        if client is self._client:
            wanted, self._room_wanted = self._room_wanted, []
            for callback in wanted:
                self._listeners.room(callback)

    def _client_lost(self, client: NatsClient, reason: str) -> None:
        self._dogs.unwatch(client)
        if client is not self._client:
            return
        if any(word in reason for word in _CREDENTIALS):
            reason = "credentials"
        event(_log, "link.down", logging.WARNING, url=self.url, reason=reason)
        self._drop_client(f"the connection to {self.url} was lost: {reason}")
        self._tell("down", reason)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def _drop_client(self, reason: str) -> None:
        self._client = None
        self._handover = None
        self.is_up = False
        self.url = None
        self._reason = reason
        self._news.clear()
        for sid in [sid for sid in self._sinks if sid not in self._subscriptions]:
            del self._sinks[sid]  # unsubscribed, and nothing more comes through a connection that is gone

    def _attempt_failed(self, error: LongreachError) -> None:
        self._reason = str(error)
        if isinstance(error, CredentialsRejected):
            self._rejected = error
            if self._opening:
                self._news.set()
            self._tell("down", "credentials")

    def _client_error(self, text: str) -> None:
        denied = read_violation(text, self._subscriptions.values())
        if denied is None:
            event(_log, "broker.complained", logging.WARNING, text=text)
        else:
            self._listeners.denied(denied)

    def _tell(self, status: Any, reason: str) -> None:
        self._listeners.changed(LinkState(status, reason))
