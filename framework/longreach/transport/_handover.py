"""From one connection to another without losing or doubling a message: make before break.

The new connection is up and has all subscriptions before the old one is left; for a moment both hear. Then
what is sent goes through the new one, the old one's subscriptions are ended behind a fence, and it is closed.
Brokers of a cluster tell each other of subscriptions a moment after they confirm them: hence the pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from longreach.errors import BrokerUnavailable
from longreach.observe import event
from longreach.transport._client import NatsClient
from longreach.transport._gate import Gate
from longreach.transport.link import Sink, Subscription

_log = logging.getLogger("longreach.transport")

FENCE_S = 2.0
SETTLE_S = 0.25
"""Between brokers of a cluster or of joined clusters a new subscription is known well within this."""
LEAVE_S = 15.0
"""For so long at most an old connection is waited for that still gets on with what it was given; `FENCE_S`
after it no longer does. What it was given and the broker does not get is lost: results among it."""
ORDER_S = 0.25
"""For so long what is sent waits for what was sent before, through the old connection; and again, as long as
that gets on, so that "I no longer have it" does not overtake a result."""
MAX_ORDER_S = 2.0
CLOSE_S = 1.0


class Handover:
    """One move of a link.

    Args:
        old: the connection in use.
        new: the one that takes its place.
        sinks: the link's own.
    """

    def __init__(self, old: NatsClient, new: NatsClient, sinks: dict[int, Sink]) -> None:
        self.old = old
        self.new = new
        self._sinks = sinks
        self._gate = Gate(self._too_much)
        self._elsewhere = old.broker_id != new.broker_id
        self._switched = False

    async def run(
        self, subscriptions: Mapping[int, Subscription], use: Callable[[], None], *, check: bool
    ) -> bool:
        """Go over; whether everything that the old connection was to bring came.

        Args:
            subscriptions: of the link; they may become more and fewer meanwhile.
            use: called when all that is sent is to go through the new connection.
            check: stay where the new broker hears less than the old one.

        Raises:
            BrokerUnavailable: the new connection is no good; the old one stays in use.
        """
        moved = clean = False
        try:
            self._begin(subscriptions.values())
            await self._prepare(check=check)
            use()
            self._switch()
            moved = True
            clean = await self._leave(subscriptions.values())
        finally:
            if moved:
                self._finish()
            else:
                self._cancel()
            if moved and not clean:
                self.old.abort("left unclean")
        return clean

    def _begin(self, subscriptions: Iterable[Subscription]) -> None:
        """Subscribe with the new connection too."""
        self.old.sinks, self.new.sinks = dict(self._sinks), {}
        for subscription in subscriptions:
            self.subscribed(subscription)

    def subscribed(self, subscription: Subscription) -> None:
        """One more, in mid-move: with both, while both are used; `NatsLink` writes it to the one in use."""
        if self._switched:
            self.new.sinks[subscription.sid] = subscription.sink
            return
        sid = subscription.sid
        self.old.sinks[sid], self.new.sinks[sid] = self._gate.behind(subscription)
        write_sub(self.new, subscription)

    def unsubscribed(self, sid: int, then: Callable[[], None]) -> None:
        """One less: call `then` when neither connection brings more of it."""
        ends = [client for client in (self.old, self.new) if not client.ended]
        left = len(ends)

        def on_pong(_: BaseException | None) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.forget(sid, then)

        for client in ends:
            client.write(f"UNSUB {sid}\r\n".encode())
            client.ping(on_pong)
        if not ends:
            then()

    def forget(self, sid: int, then: Callable[[], None]) -> None:
        """Both have brought their last of a subscription: call `then` when its sink has got everything."""

        def forgotten() -> None:
            self.old.sinks.pop(sid, None)
            self.new.sinks.pop(sid, None)
            then()

        self._gate.hand_over(sid, forgotten)

    async def fence(self, used: NatsClient, timeout_s: float) -> None:
        """`fence` of the connection in use; by then the other one has brought what it was to bring too.

        Raises:
            BrokerUnavailable: as for `fence`; what becomes of the other one matters to nobody here.
        """
        other = self.new if used is self.old else self.old
        outcomes = await asyncio.gather(
            fence(used, timeout_s), fence(other, timeout_s), return_exceptions=True
        )
        if outcomes[0] is not None:
            raise outcomes[0]
        await self._gate.opened()

    async def _prepare(self, *, check: bool) -> None:
        """Wait until what the old connection hears the new one hears too."""
        await fence(self.new, FENCE_S)
        if self._elsewhere:
            await asyncio.sleep(SETTLE_S)
            if check:
                await self._check()
        if self.new.ended:
            raise BrokerUnavailable(f"{self.new.shown_url}: lost at once")

    async def _check(self) -> None:
        """Whether what comes from now on comes through both."""
        if is_apart(self.old, self.new):
            raise BrokerUnavailable(f"{self.new.shown_url} is up, and has not joined its cluster yet")
        self._gate.turn()
        await asyncio.sleep(SETTLE_S)
        self._gate.turn()  # what is fresher has its copy on the way, maybe
        await asyncio.sleep(SETTLE_S)
        if self._gate.missed(1):
            raise BrokerUnavailable(f"{self.new.shown_url} is up, and hears less of the mesh")

    def _switch(self) -> None:
        """From here on everything is sent through the new connection, behind what the old one was given."""
        self._switched = True
        self.new.hold()
        self.old.ping(lambda _: self.new.release())
        loop = asyncio.get_running_loop()
        until = loop.time() + MAX_ORDER_S

        def still(left: int) -> None:
            now_left = self.old.backlog
            if 0 < now_left < left and loop.time() < until:
                loop.call_later(ORDER_S, still, now_left)
            else:
                self.new.release()

        loop.call_later(ORDER_S, still, self.old.backlog)

    async def _leave(self, subscriptions: Iterable[Subscription]) -> bool:
        """End the old connection; whether everything that it was to bring came."""
        self._gate.turn()
        if self._elsewhere and not self.old.ended:
            await asyncio.sleep(SETTLE_S)
        for subscription in subscriptions:
            self.old.write(f"UNSUB {subscription.sid}\r\n".encode())
        clean = await _passes(self.old)
        self._gate.open()
        if await _passes(self.new) and self._elsewhere:  # copies of the last messages are on their way
            await asyncio.sleep(SETTLE_S)
        await self._gate.opened()
        return clean

    async def bury(self) -> None:
        """Close the old connection, which was left cleanly."""
        try:
            if not self.old.ended:
                await self.old.close_gently(CLOSE_S)
        finally:
            self.old.abort("moved")

    def _finish(self) -> None:
        """The new connection is the only one."""
        self.new.release()
        self._gate.open_at_once()  # it is open, unless the move was broken off
        self.new.sinks = self._sinks

    def _cancel(self) -> None:
        """The old connection stays the only one: what it brings, it brings anyway."""
        self.new.abort("not moved")
        self.old.sinks = self._sinks

    def _too_much(self) -> None:
        if self._switched:
            self.old.lose("too far behind")
        else:
            self.new.lose("too far ahead")


class Teller(Protocol):
    """What a connection knows of its broker's cluster."""

    @property
    def cluster(self) -> str:
        """Its name."""
        ...

    @property
    def told_urls(self) -> tuple[str, ...]:
        """Its members, as this broker tells."""
        ...


def is_apart(used: Teller, other: Teller) -> bool:
    """Whether two brokers are of one cluster and do not know each other: they tell of no member in common.

    Where a cluster tells of nobody (`no_advertise`) this cannot be said.
    """
    of_one = used.cluster == other.cluster != "" and bool(used.told_urls)
    return of_one and not {*used.told_urls} & {*other.told_urls}


def write_sub(client: NatsClient, subscription: Subscription) -> None:
    """Subscribe."""
    client.write(f"SUB {subscription.subject} {subscription.queue} {subscription.sid}\r\n".encode())


async def _passes(client: NatsClient) -> bool:
    """Wait until the broker has handled all that was written, for as long as it gets on; whether it has."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LEAVE_S
    while True:
        left = client.backlog
        try:
            await fence(client, FENCE_S)
        except BrokerUnavailable as error:
            if client.ended or client.backlog >= left or loop.time() >= until:
                event(_log, "link.left_unclean", logging.WARNING, url=client.shown_url, reason=str(error))
                return False
        else:
            return True


async def fence(client: NatsClient, timeout_s: float) -> None:
    """Wait until the broker has handled all that was written to `client`.

    Raises:
        BrokerUnavailable: it did not in time, or the connection ended.
    """
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
