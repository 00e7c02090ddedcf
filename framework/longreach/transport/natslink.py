"""`NatsLink`: a link to NATS that supervises its connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from longreach.errors import BrokerUnavailable, NotStarted
from longreach.observe import event
from longreach.transport._connector import Connector
from longreach.transport._handover import fence, write_sub
from longreach.transport._outgoing import check_subject, encode_headers, too_large
from longreach.transport._supervised import Supervised
from longreach.transport.link import (
    HIGH_WATER_BYTES,
    MAX_SUBJECT_BYTES,
    Headers,
    Link,
    Sink,
    Subscription,
)
from longreach.transport.options import NatsOptions

_log = logging.getLogger("longreach.transport")


class NatsLink(Supervised):
    """A supervised connection to NATS; see `Link` for what its methods promise. Made by `open`."""

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

    @property
    def rtt_s(self) -> float:
        """The smoothed round trip to the broker, in seconds; 0.0 until it is known."""
        return self._client.rtt_s if self._client is not None else 0.0

    @property
    def has_room(self) -> bool:
        """See `Link.has_room`."""
        client = self._client
        if client is None:
            return False
        return client.unflushed_bytes <= HIGH_WATER_BYTES or not client.unflushed_over(HIGH_WATER_BYTES)

    def when_room(self, callback: Callable[[], None]) -> None:
        """See `Link.when_room`."""
        if self._closed:
            return
        self._room_wanted.append(callback)
        if self._client is not None:
            self._client.want_room()

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
        await (self._handover.fence(client, timeout_s) if self._handover else fence(client, timeout_s))

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
        try:
            await self._close_connection(timeout_s)
        finally:
            await self._tasks.close()
            if self._client is not None:
                self._client.abort("closed")
        self._subscriptions.clear()
        self._room_wanted.clear()
        self._sinks.clear()
        self._drop_client("the link is closed")
        self._news.set()
        self._tell("closed", "")

    async def _close_connection(self, timeout_s: float) -> None:
        delivered = False
        if self._client is not None:
            try:
                await self.fence(timeout_s)
                delivered = True
            except BrokerUnavailable as error:
                event(_log, "link.close_cut_short", logging.DEBUG, reason=str(error))
        if self._supervisor is not None:  # from here on there is one connection, in the middle of a move too
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})
        if delivered and self._client is not None:
            await self._client.close_gently(timeout_s)


if TYPE_CHECKING:  # held by mypy
    _conforms: type[Link] = NatsLink
