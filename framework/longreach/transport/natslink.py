"""`NatsLink`: a link to NATS that supervises its connection.

One loop: connect (URLs in order, home first), write all subscriptions, be up, lose the connection, begin
again. A connection that ended is never used again; each new one reads credentials anew. While it is up it may
move to another connection, make before break: when the broker asks its clients to go, when credentials were
renewed, when a broker that is preferred is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from longreach.errors import BrokerUnavailable, CredentialsRejected, LongreachError, NotStarted
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.transport._client import NatsClient
from longreach.transport._connector import Connector, Made
from longreach.transport._handover import Handover, fence, write_sub
from longreach.transport._keeper import Keeper
from longreach.transport._listeners import Listeners
from longreach.transport._outgoing import check_subject, encode_headers, too_large
from longreach.transport._urls import Told
from longreach.transport._violations import read_violation
from longreach.transport._watchdog import Watchdog
from longreach.transport.link import (
    MAX_SUBJECT_BYTES,
    MAX_UNFLUSHED_BYTES,
    Headers,
    Link,
    LinkState,
    Sink,
    Subscription,
)
from longreach.transport.options import NatsOptions

_log = logging.getLogger("longreach.transport")
_DEFAULT_MAX_PAYLOAD = 1024 * 1024
_CREDENTIALS = ("authorization", "authentication", "credentials")


class NatsLink:
    """A supervised connection to NATS; see `Link` for what its methods promise. Made by `open`."""

    def __init__(self, options: NatsOptions | Callable[[], NatsOptions]) -> None:
        self._listeners = Listeners()
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
        self._dogs: dict[NatsClient, asyncio.Task[None]] = {}
        self._news = asyncio.Event()  # up, closed, or refused while opening: who waits looks again
        self._closed = False
        self._reason = "not connected yet"
        self._sinks: dict[int, Sink] = {}
        self._subscriptions: dict[int, Subscription] = {}
        self._last_sid = 0
        self._opening = False
        self._rejected: CredentialsRejected | None = None
        self.is_up = False
        self.url: str | None = None
        self.max_payload = _DEFAULT_MAX_PAYLOAD
        self.max_unflushed_bytes = MAX_UNFLUSHED_BYTES

    @classmethod
    async def open(
        cls,
        options: NatsOptions | Callable[[], NatsOptions],
        *,
        wait: bool = False,
        timeout_s: float | None = 2.0,
    ) -> NatsLink:
        """Connect, and stay connected until `close`.

        Args:
            options: where to, and how; a function is asked anew for each connection, and every
                `NatsOptions.renew_every_s` whether credentials are others now: it must be quick.
            wait: the broker may come up later: say so in the log, every 10 s.
            timeout_s: how long to try; None: for ever.

        Raises:
            CredentialsRejected: the broker is there and refuses the credentials.
            BrokerUnavailable: no broker within `timeout_s`.
            ConfigError: a setting, or a file that it names, is wrong.
        """
        link = cls(options)
        connector = Connector(link._options, link._new_client, link._told, patient=wait)
        connector.check()
        link._opening = True
        link._supervisor = link._tasks.spawn(link._supervise(connector), name="link supervisor")
        try:
            await link.wait_up(timeout_s)
        except BaseException:
            await link.close(0.0)
            raise
        finally:
            link._opening = False
        return link

    # The supervising loop

    def _new_client(self) -> NatsClient:
        return NatsClient(self._sinks, self._client_lost, self._client_error, self._client_told)

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
        self._watch(made)
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
        self._watch(made)
        moved = clean = False
        try:
            handover.begin(self._subscriptions.values())
            await handover.prepare(check=check)
            self._use(made)
            handover.switch()
            moved = True
            event(_log, "link.moved", url=self.url, left=there, why=why)
            clean = await handover.leave(self._subscriptions.values())
        finally:
            self._handover = None
            if moved:
                handover.close()
            else:
                handover.cancel()
            if moved and not clean:
                old.abort("left unclean")
            self._unwatch(old if moved else made.client)
        if clean:
            await handover.bury()
        elif self._client is made.client:  # who waits for something may wait in vain: let them ask
            self._tell("down", "left unclean")
            self._tell("up", "")

    def _watch(self, made: Made) -> None:
        watchdog = Watchdog(made.client, made.options.ping_interval_s, made.options.max_silence_s)
        self._dogs[made.client] = self._tasks.spawn(watchdog.run(), name="link watchdog")

    def _unwatch(self, client: NatsClient) -> None:
        dog = self._dogs.pop(client, None)
        if dog is not None:
            dog.cancel()

    def _client_told(self, client: NatsClient) -> None:
        """The broker said something about itself, or those beside it."""
        if client.is_lame:
            event(_log, "broker.lame_duck", logging.WARNING, url=client.shown_url)
        if client is self._client:
            self._told.heard(client.url, client.told_urls)
            if client.is_lame and self._keeper is not None:
                self._keeper.look()

    def _client_lost(self, client: NatsClient, reason: str) -> None:
        self._unwatch(client)
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

    # What the floors above use

    @property
    def rtt_s(self) -> float:
        """The smoothed round trip to the broker, in seconds; 0.0 until it is known."""
        return self._client.rtt_s if self._client is not None else 0.0

    def send(self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
        """See `Link.send`."""
        client = self._client
        if client is None:
            raise BrokerUnavailable(f"no connection to a broker: {self._reason}")
        # One look at both subjects together; at each of them only where that finds anything.
        words = subject + reply
        if not (subject and words.isascii() and words.isprintable() and " " not in words) or (
            len(words) > MAX_SUBJECT_BYTES
        ):
            check_subject(subject)
            if reply:
                check_subject(reply)
        limit = self.max_unflushed_bytes
        if client.unflushed_bytes > limit and client.unflushed_over(limit):
            raise NotStarted("too much is waiting for the broker to read it; try again later", reason="busy")
        size = len(data)
        if headers:
            block = encode_headers(headers)
            size += len(block)
            head = f"HPUB {subject} {reply} {len(block)} {size}\r\n".encode() + block
        else:
            head = f"PUB {subject} {reply} {size}\r\n".encode()
        if size > self.max_payload:
            raise too_large(size, self.max_payload)
        client.write_message(head, data)

    def subscribe(self, subject: str, sink: Sink, queue: str = "") -> Subscription:
        """See `Link.subscribe`."""
        if self._closed:
            raise BrokerUnavailable("the link is closed")
        check_subject(subject)
        if queue:
            check_subject(queue)
        self._last_sid += 1
        subscription = Subscription(self._last_sid, subject, queue, sink)
        self._subscriptions[subscription.sid] = subscription
        self._sinks[subscription.sid] = sink
        if self._client is not None:
            write_sub(self._client, subscription)
        if self._handover is not None:
            self._handover.subscribed(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """See `Link.unsubscribe`."""
        if not subscription.active:
            return
        subscription.active = False
        sid = subscription.sid
        self._subscriptions.pop(sid, None)
        if self._client is None:
            self._sinks.pop(sid, None)
            return
        if self._handover is not None:
            self._handover.unsubscribed(sid, lambda: self._forget(sid))
            return
        self._client.write(f"UNSUB {sid}\r\n".encode())
        self._client.ping(lambda _: self._forget(sid))

    def _forget(self, sid: int) -> None:
        self._sinks.pop(sid, None)

    async def leave(self, subscription: Subscription, timeout_s: float) -> None:
        """See `Link.leave`."""
        self.unsubscribe(subscription)
        client = self._client
        if client is None or subscription.sid not in self._sinks:
            return
        try:
            await self.fence(timeout_s)
        except BrokerUnavailable:
            if self._client is client:
                raise

    async def fence(self, timeout_s: float) -> None:
        """See `Link.fence`."""
        client = self._client
        if client is None:
            raise BrokerUnavailable(f"no connection to a broker: {self._reason}")
        if self._handover is not None:
            await self._handover.fence(client, timeout_s)
        else:
            await fence(client, timeout_s)

    async def wait_up(self, timeout_s: float | None) -> None:
        """See `Link.wait_up`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.is_up:
                    if self._closed:
                        raise BrokerUnavailable("the link is closed")
                    if self._opening and self._rejected is not None:
                        raise self._rejected
                    await self._news.wait()
        except TimeoutError:
            raise BrokerUnavailable(f"{self._reason} (tried for {timeout_s:g} s)") from None

    async def close(self, timeout_s: float = 5.0) -> None:
        """See `Link.close`."""
        if self._closed:
            return
        self._closed = True
        client = self._client
        try:
            if client is not None:
                await self._close_client(client, timeout_s)
        finally:
            await self._tasks.close()
        self._subscriptions.clear()
        self._sinks.clear()
        self._drop_client("the link is closed")
        self._news.set()
        self._tell("closed", "")

    async def _close_client(self, client: NatsClient, timeout_s: float) -> None:
        try:
            await self.fence(timeout_s)
            await client.close_gently(timeout_s)
        except BrokerUnavailable as error:
            event(_log, "link.close_cut_short", logging.DEBUG, reason=str(error))
        finally:
            client.abort("closed")


if TYPE_CHECKING:  # held by mypy
    _conforms: type[Link] = NatsLink
