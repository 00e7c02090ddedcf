"""`NatsLink`: a link to NATS that supervises its connection.

One loop: connect (URLs in order, home first), write all subscriptions, be up, lose the connection, begin
again. A connection that ended is never used again; each new one reads credentials anew.
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
from longreach.transport._connector import Connector
from longreach.transport._listeners import Listeners
from longreach.transport._outgoing import check_subject, encode_headers, too_large
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
            options: where to, and how; a function is asked anew for each connection.
            wait: the broker may come up later: say so in the log, every 10 s.
            timeout_s: how long to try; None: for ever.

        Raises:
            CredentialsRejected: the broker is there and refuses the credentials.
            BrokerUnavailable: no broker within `timeout_s`.
            ConfigError: a setting, or a file that it names, is wrong.
        """
        link = cls(options)
        connector = Connector(link._options, link._new_client, patient=wait)
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
        return NatsClient(self._sinks, self._client_lost, self._client_error)

    async def _supervise(self, connector: Connector) -> None:
        self._tell("connecting", "")
        while True:
            client, options = await connector.connect(self._attempt_failed)
            if client.ended:  # lost between its handshake and here
                continue
            self._lost = asyncio.get_running_loop().create_future()
            self._take(client, options)
            watchdog = Watchdog(client, options.ping_interval_s, options.max_silence_s)
            dog = self._tasks.spawn(watchdog.run(), name="link watchdog")
            try:
                await self._lost
            finally:
                dog.cancel()

    def _take(self, client: NatsClient, options: NatsOptions) -> None:
        """The connection stands: write the subscriptions, in order, before anybody can send."""
        self._client = client
        self.max_payload = client.max_payload
        self.url = client.shown_url
        for subscription in self._subscriptions.values():
            self._write_sub(client, subscription)
        self.is_up = True
        self._reason = ""
        self._news.set()
        event(_log, "link.up", url=self.url, name=options.name)
        self._tell("up", "")

    def _client_lost(self, client: NatsClient, reason: str) -> None:
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
            self._write_sub(self._client, subscription)
        return subscription

    @staticmethod
    def _write_sub(client: NatsClient, subscription: Subscription) -> None:
        client.write(f"SUB {subscription.subject} {subscription.queue} {subscription.sid}\r\n".encode())

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
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_pong(error: BaseException | None) -> None:
            if passed.done():
                return
            if error is None:
                passed.set_result(None)
            else:
                passed.set_exception(BrokerUnavailable(f"the connection was lost: {error}"))

        client.ping(on_pong)
        try:
            async with asyncio.timeout(timeout_s):
                await passed
        except TimeoutError:
            raise BrokerUnavailable(f"the broker did not answer within {timeout_s:g} s") from None

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
