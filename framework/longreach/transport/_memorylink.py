"""`MemoryLink`, the half of the broker in memory that its users hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from longreach.errors import BrokerUnavailable, NotStarted
from longreach.transport._listeners import LinkListeners, call_sink
from longreach.transport._outgoing import check_subject, clean_value, encode_headers, too_large
from longreach.transport.link import (
    HIGH_WATER_BYTES,
    LOW_WATER_BYTES,
    MAX_UNFLUSHED_BYTES,
    Denied,
    Headers,
    Link,
    LinkState,
    Sink,
    Status,
    Subscription,
)

if TYPE_CHECKING:
    from longreach.transport.memory import MemoryBroker

Allow = Iterable[str] | None
"""Subject patterns, a queue group after a space where it matters; None allows everything."""


class Message(NamedTuple):
    """What a link has sent."""

    subject: str
    reply: str
    data: bytes
    headers: Headers | None


def matches(pattern: str, subject: str) -> bool:
    """Whether `subject` matches `pattern`: ``*`` is one token, a last ``>`` is one or more."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        if len(given) < len(wanted):
            return False
        wanted = wanted[:-1]
    elif len(wanted) != len(given):
        return False
    return all(want in ("*", have) for want, have in zip(wanted, given, strict=False))


class MemoryLink:
    """A link to a `MemoryBroker`; see `Link` for what its methods promise. Made by `MemoryBroker.link`."""

    def __init__(self, broker: MemoryBroker, publish: Allow, subscribe: Allow) -> None:
        self._broker = broker
        self._publish = None if publish is None else tuple(publish)
        self._subscribe = None if subscribe is None else tuple(subscribe)
        self._listeners = LinkListeners()
        self.on_change = self._listeners.on_change
        self.on_denied = self._listeners.on_denied
        self._status: Status = "up"
        self._went_up = asyncio.Event()
        self._went_up.set()
        self._connection = 0  # counts connections: what an earlier one had on its way is lost
        self._last_sid = 0
        self._subscriptions: dict[int, Subscription] = {}
        self._at_broker: dict[int, Subscription] = {}
        self._sinks: dict[int, Sink] = {}
        self._fences: set[asyncio.Future[None]] = set()
        self.rtt_s = 0.0
        self.max_unflushed_bytes = MAX_UNFLUSHED_BYTES
        self._unflushed = 0
        self._stalled: list[Callable[[], None]] | None = None  # what the broker does not read
        self._room_wanted: list[Callable[[], None]] = []

    @property
    def is_up(self) -> bool:
        """Whether `send` reaches the broker."""
        return self._status == "up"

    @property
    def url(self) -> str | None:
        """A name for the broker in memory; None while the link is down."""
        return "memory://" if self.is_up else None

    @property
    def max_payload(self) -> int:
        """The broker's limit for headers and data together, in bytes."""
        return self._broker.max_payload

    @property
    def has_room(self) -> bool:
        """See `Link.has_room`."""
        return self.is_up and self._unflushed <= HIGH_WATER_BYTES

    # What the floors above use

    def when_room(self, callback: Callable[[], None]) -> None:
        """See `Link.when_room`."""
        if self._status == "closed":
            return
        self._room_wanted.append(callback)
        if self.has_room:
            asyncio.get_running_loop().call_soon(self._tell_room, HIGH_WATER_BYTES)

    def send(self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
        """See `Link.send`."""
        self._require_up()
        check_subject(subject)
        if reply:
            check_subject(reply)
        if self._unflushed > self.max_unflushed_bytes:
            raise NotStarted("too much is waiting for the broker to read it; try again later", reason="busy")
        size = len(data) + (len(encode_headers(headers)) if headers else 0)
        if size > self.max_payload:
            raise too_large(size, self.max_payload)
        if self._publish is not None and not any(matches(allowed, subject) for allowed in self._publish):
            self._to_broker(self._come_back, self._listeners.denied, Denied("publish", subject))
            return
        travelling = {key: clean_value(value) for key, value in headers.items()} if headers else None
        message = Message(subject, reply, bytes(data), travelling)
        self._unflushed += size
        self._to_broker(self._reach, message, size)

    def subscribe(self, subject: str, sink: Sink, queue: str = "") -> Subscription:
        """See `Link.subscribe`."""
        if self._status == "closed":
            raise BrokerUnavailable("the link is closed")
        check_subject(subject)
        if queue:
            check_subject(queue)
        self._last_sid += 1
        subscription = Subscription(self._last_sid, subject, queue, sink)
        self._subscriptions[subscription.sid] = subscription
        self._sinks[subscription.sid] = sink
        if self.is_up:
            self._to_broker(self._register, subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """See `Link.unsubscribe`."""
        if not subscription.active:
            return
        subscription.active = False
        self._subscriptions.pop(subscription.sid, None)
        if not self.is_up:
            self._sinks.pop(subscription.sid, None)
            return
        self._to_broker(self._at_broker.pop, subscription.sid, None)
        self._to_broker(self._come_back, self._sinks.pop, subscription.sid, None)

    async def leave(self, subscription: Subscription, timeout_s: float) -> None:
        """See `Link.leave`."""
        self.unsubscribe(subscription)
        connection = self._connection
        if not self.is_up or subscription.sid not in self._sinks:
            return
        try:
            await self.fence(timeout_s)
        except BrokerUnavailable:
            if connection == self._connection:
                raise

    async def fence(self, timeout_s: float) -> None:
        """See `Link.fence`."""
        self._require_up()
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fences.add(passed)
        self._to_broker(self._come_back, _resolve, passed)
        try:
            async with asyncio.timeout(timeout_s):
                await passed
        except TimeoutError:
            raise BrokerUnavailable(f"the broker did not answer within {timeout_s:g} s") from None
        finally:
            self._fences.discard(passed)

    async def wait_up(self, timeout_s: float | None) -> None:
        """See `Link.wait_up`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._went_up.wait()
        except TimeoutError:
            raise BrokerUnavailable(f"no broker (waited for {timeout_s:g} s)") from None
        if not self.is_up:
            raise BrokerUnavailable("the link is closed")

    async def close(self, timeout_s: float = 5.0) -> None:
        """See `Link.close`."""
        if self._status == "closed":
            return
        if self.is_up:
            await self.fence(timeout_s)
        self._disconnect("the link is closed")
        self._status = "closed"
        self._broker.remove(self)
        self._subscriptions.clear()
        self._sinks.clear()
        self._room_wanted.clear()
        self._went_up.set()
        self._listeners.changed(LinkState("closed"))

    # The broker's side

    def heard_by_broker(self) -> Iterable[Subscription]:
        """The subscriptions that have reached the broker."""
        return tuple(self._at_broker.values())

    def deliver(self, sid: int, message: Message) -> None:
        """Send `message` from the broker to the sink of `sid`."""
        self._come_back(self._sink, sid, message)

    # Two directions, each in order; both lose what belongs to a connection that was cut.

    def _to_broker(self, action: Callable[..., object], *arguments: object) -> None:
        loop, connection = asyncio.get_running_loop(), self._connection
        if self._stalled is None:
            loop.call_soon(self._if_connected, connection, action, arguments)
        else:
            self._stalled.append(lambda: self._if_connected(connection, action, arguments))

    def _come_back(self, action: Callable[..., object], *arguments: object) -> None:
        asyncio.get_running_loop().call_soon(self._if_connected, self._connection, action, arguments)

    def _reach(self, message: Message, size: int) -> None:
        self._unflushed -= size
        self._broker.publish(self, message)
        if self._room_wanted:
            self._tell_room(LOW_WATER_BYTES)

    def _tell_room(self, most: int) -> None:
        if not self.is_up or self._unflushed > most:
            return
        wanted, self._room_wanted = self._room_wanted, []
        for callback in wanted:
            self._listeners.room(callback)

    def _if_connected(
        self, connection: int, action: Callable[..., object], arguments: tuple[object, ...]
    ) -> None:
        if connection == self._connection:
            action(*arguments)

    def _sink(self, sid: int, message: Message) -> None:
        sink = self._sinks.get(sid)
        if sink is not None:
            call_sink(sink, message.subject, message.reply, message.data, message.headers)

    def _register(self, subscription: Subscription) -> None:
        if self._may_subscribe(subscription):
            self._at_broker[subscription.sid] = subscription
        else:
            denied = Denied("subscribe", subscription.subject, subscription.queue)
            self._come_back(self._listeners.denied, denied)

    def _may_subscribe(self, subscription: Subscription) -> bool:
        if self._subscribe is None:
            return True
        for allowed in self._subscribe:
            pattern, _, queue = allowed.partition(" ")
            if matches(pattern, subscription.subject) and (not queue or queue == subscription.queue):
                return True
        return False

    def _require_up(self) -> None:
        if not self.is_up:
            raise BrokerUnavailable(f"no connection to a broker: the link is {self._status}")

    def _disconnect(self, reason: str) -> None:
        self._connection += 1
        self._unflushed = 0
        if self._stalled is not None:
            self._stalled = []
        self._at_broker.clear()
        self._sinks = {sid: sink for sid, sink in self._sinks.items() if sid in self._subscriptions}
        self._went_up.clear()
        for fence in self._fences:
            if not fence.done():
                fence.set_exception(BrokerUnavailable(f"the connection was lost: {reason}"))

    def go_down(self, reason: str) -> None:
        """The broker takes the connection away."""
        if self.is_up:
            self._disconnect(reason)
            self._status = "down"
            self._listeners.changed(LinkState("down", reason))

    def go_up(self) -> None:
        """The broker is there again."""
        if self._status == "down":
            self._status = "up"
            for subscription in self._subscriptions.values():
                self._to_broker(self._register, subscription)
            self._went_up.set()
            self._listeners.changed(LinkState("up"))
            asyncio.get_running_loop().call_soon(self._tell_room, HIGH_WATER_BYTES)

    def stall(self) -> None:
        """The broker reads nothing more."""
        if self._stalled is None:
            self._stalled = []

    def resume(self) -> None:
        """The broker reads on."""
        waiting, self._stalled = self._stalled or [], None
        for each in waiting:
            asyncio.get_running_loop().call_soon(each)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


if TYPE_CHECKING:  # held by mypy
    _conforms: type[Link] = MemoryLink
