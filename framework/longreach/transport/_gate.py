"""Each message once, while two connections hear the same subjects.

Plain subscriptions hear everything twice then. What the old connection brings goes to the sink at once; what
the new one brings is held until its copy came through the old one, or until that one has brought its last.
So order is kept, and what only one of them was sent is lost as little as what both were. Queue groups need
none of this: the broker gives each of their messages to one of the two.

What is held may be thousands of messages. It is handed over in slices, one in a turn of the loop; what comes
meanwhile goes behind it, and takes one of the held along, so that it does not become more.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable

from longreach.transport._listeners import call_sink
from longreach.transport.link import MAX_UNFLUSHED_BYTES, Headers, Sink, Subscription
from longreach.turns import Drain

MAX_HELD_BYTES = MAX_UNFLUSHED_BYTES
MAX_SEEN = 200_000

_MESSAGE_BYTES = 200
"""What a held message costs beside its body, roughly."""

_Key = int


class _Held:
    """A message that came through the new connection first."""

    __slots__ = ("data", "headers", "key", "reply", "subject", "subscription", "wanted")

    def __init__(
        self,
        subscription: Subscription,
        key: _Key,
        subject: str,
        reply: str,
        data: bytes,
        headers: Headers | None,
    ) -> None:
        self.subscription = subscription
        self.key = key
        self.subject = subject
        self.reply = reply
        self.data = data
        self.headers = headers
        self.wanted = True

    def deliver(self) -> None:
        """Hand it to its sink."""
        call_sink(self.subscription.sink, self.subject, self.reply, self.data, self.headers)


class Gate:
    """Between the connections and the sinks, during one move.

    Args:
        on_full: called once when too much is held: the old connection lags too far behind.
    """

    def __init__(self, on_full: Callable[[], None]) -> None:
        self._on_full = on_full
        self._full = False
        self._open = False
        self._opening = False
        self._draining = 0
        self._drain = Drain(self._hand_over_one)
        self._seen: list[Counter[_Key]] = [Counter()]  # by generation, see `missed`
        self._seen_count = 0
        self._held: deque[_Held] = deque()
        self._held_by_key: dict[_Key, deque[_Held]] = {}
        self._held_bytes = 0

    def behind(self, subscription: Subscription) -> tuple[Sink, Sink]:
        """The sinks that the old and the new connection use for `subscription`."""
        if subscription.queue:
            return subscription.sink, subscription.sink
        sid, sink = subscription.sid, subscription.sink

        def old(subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
            if not _is_status(headers):
                self._came_through_old(_key(sid, subject, reply, data, headers))
            sink(subject, reply, data, headers)

        def new(subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
            if _is_status(headers):
                sink(subject, reply, data, headers)
                return
            key = _key(sid, subject, reply, data, headers)
            if self._came_before(key):
                return
            if self._open:
                sink(subject, reply, data, headers)
                return
            self._hold(_Held(subscription, key, subject, reply, data, headers))
            if self._opening:
                self._hand_over_one()

        return old, new

    def turn(self) -> None:
        """Begin a generation of messages, for `missed`."""
        self._seen.append(Counter())

    def missed(self, generation: int) -> int:
        """How many messages of a generation the old connection heard, and the new one has not."""
        return self._seen[generation].total()

    def open(self) -> None:
        """The old connection brought its last: hand over what is held, and hold nothing any more.

        Copies of what it brought in the last generation may still be on their way, and are still dropped.
        """
        del self._seen[:-1]
        if not self._opening:
            self._opening = True
            self._drain.run()

    def open_at_once(self) -> None:
        """Open without coming back through the loop: for a move that is broken off."""
        self.open()
        self._drain.stop()
        while self._hand_over_one():
            pass

    async def opened(self) -> None:
        """Wait until everything that was held, and was to be handed over, is."""
        while (self._opening and not self._open) or self._draining:  # noqa: ASYNC110 - a slice in each turn
            await asyncio.sleep(0)

    def hand_over(self, sid: int, then: Callable[[], None]) -> None:
        """The old connection brought its last for one subscription: hand over what is held, and `then`."""
        mine = deque(held for held in self._held if held.subscription.sid == sid)
        self._draining += 1

        def step() -> bool:
            while mine:
                held = mine.popleft()
                if held.wanted:
                    self._let_go(held)
                    held.deliver()
                    break
            if mine:
                return True
            self._draining -= 1
            then()
            return False

        Drain(step).run()

    def _hand_over_one(self) -> bool:
        """Hand over the first that is held; whether there are more. When there are none, it is open."""
        if self._held:
            held = self._held[0]
            self._let_go(held)
            held.deliver()
        if not self._held:
            self._open = True
        return not self._open

    def _came_through_old(self, key: _Key) -> None:
        if self._opening:
            return
        waiting = self._held_by_key.get(key)
        if waiting:
            self._let_go(waiting[0])
        else:
            self._seen[-1][key] += 1
            self._seen_count += 1
            self._check_size()

    def _came_before(self, key: _Key) -> bool:
        for generation in self._seen:
            if key in generation:
                generation[key] -= 1
                if not generation[key]:
                    del generation[key]
                self._seen_count -= 1
                return True
        return False

    def _hold(self, held: _Held) -> None:
        self._held.append(held)
        self._held_by_key.setdefault(held.key, deque()).append(held)
        self._held_bytes += len(held.data) + _MESSAGE_BYTES
        self._check_size()

    def _let_go(self, held: _Held) -> None:
        same = self._held_by_key[held.key]
        same.remove(held)
        if not same:
            del self._held_by_key[held.key]
        self._held_bytes -= len(held.data) + _MESSAGE_BYTES
        held.wanted = False
        while self._held and not self._held[0].wanted:
            self._held.popleft()

    def _check_size(self) -> None:
        if not (self._full or self._opening) and (
            self._held_bytes > MAX_HELD_BYTES or self._seen_count > MAX_SEEN
        ):
            self._full = True
            self._on_full()


def _is_status(headers: Headers | None) -> bool:
    """Whether the broker says this about what one connection sent, and so to it alone."""
    return headers is not None and "Status" in headers


def _key(sid: int, subject: str, reply: str, data: bytes, headers: Headers | None) -> _Key:
    """What copies have in common, in 64 bits: too many for two messages of one move to meet by chance."""
    return hash((sid, subject, reply, data, tuple(headers.items()) if headers else None))
