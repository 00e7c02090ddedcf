"""Requests that no message holds: their parts are pulled from the asker, and only a whole one begins.

An offer comes in the place of the request, through the queue group like any. It is charged when it comes,
as a request is: against the limits of its caller, a place in its actor's mailbox, and room on the node for
the size that it states (unpacked, where it is packed). Then the node asks for range after range with frames
on the call's own reply subject; the asker puts them to this very node. While that goes on the call is here,
by the node's book, but has not begun.

What was charged is given back once, in one of two places: `_give_up`, however the offer ends, or `_begin`,
which hands the place and the limits to the call that comes of it. Its room is kept for as long as that call
waits in the mailbox with its body. Source: docs/binding.md 16, docs/adr/0036.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

import msgspec

from longreach.actor.call import Coming
from longreach.observe import event
from longreach.policy.mailbox import Mailbox
from longreach.policy.parts import BODIES_OF_ALL, BODIES_OF_ONE, IDLE_S, Window
from longreach.policy.room import Room
from longreach.threads import BODIES, in_thread
from longreach.wire import codes, jsonrpc
from longreach.wire.frames import HEADER
from longreach.wire.packing import Damaged, unpack_body
from longreach.wire.parts import HEAD_BYTES, PARTS, PULL, Offer, Pull, Put, understands, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.actor.cell import ActorCell
    from longreach.node.carrier import Carrier
    from longreach.node.intake import Intake
    from longreach.node.replies import ReplyRoute
    from longreach.policy.limits import Limited, Limiter
    from longreach.transport.link import Headers
    from longreach.wire.codes import NotStartedReason

_log = logging.getLogger("longreach.node.requests")
_PULL = {HEADER: PULL}
_BARE_TIMEOUT_S = 60.0
_BUSY_MS = 500


class Place(Protocol):
    """Where a request finds room when it is whole."""

    def reserve(self, coming: Coming) -> NotStartedReason | None:
        """Keep a place, or say why not."""
        ...

    def release(self, key: str) -> None:
        """Give a place back, if there is one."""
        ...

    def retry_after_ms(self) -> int:
        """When it makes sense to ask again, where there was no place."""
        ...


class SharedPlaces:
    """Places for requests that do not say yet which of several actors they are for: as many as all have."""

    def __init__(self) -> None:
        self._mailbox: Mailbox[Coming] = Mailbox(0)
        self._handlers: dict[ActorCell, int] = {}
        self._size = 0

    def open(self, cell: ActorCell) -> None:
        """A handler of `cell` takes requests."""
        count = self._handlers.get(cell, 0)
        if not count:
            self._size += cell.capacity
        self._handlers[cell] = count + 1

    def close(self, cell: ActorCell) -> None:
        """A handler of `cell` takes no more; what has a place keeps it."""
        self._handlers[cell] -= 1
        if not self._handlers[cell]:
            del self._handlers[cell]
            self._size -= cell.capacity

    def reserve(self, coming: Coming) -> NotStartedReason | None:
        """Keep a place, or say why not."""
        refused = self._mailbox.reserve(coming.owner, coming, max(1, self._size))
        if refused is coming:
            return "busy"
        if refused is not None:
            assert isinstance(refused, Coming)
            refused.refuse("busy", _BUSY_MS)
        return None

    def release(self, key: str) -> None:
        """Give a place back, if there is one."""
        self._mailbox.release(key)

    def retry_after_ms(self) -> int:
        """When it makes sense to ask again, where there was no place."""
        return _BUSY_MS


class _Offered(Coming):
    """One request that is on its way.

    Attributes:
        paid: the limits that count it.
        is_over: it has begun, or never will.
    """

    def __init__(
        self,
        requests: LargeRequests,
        route: ReplyRoute,
        offer: Offer,
        deadline: float,
        begin: Callable[[bytes], None],
        intake: Intake,
        place: Place,
    ) -> None:
        self.key = route.key
        self.owner = route.scope.rpartition(".")[0]
        self.deadline = deadline
        self.route = route
        self.offer = offer
        self.begin = begin
        self.intake = intake
        self.place = place
        self.paid: tuple[Limiter, ...] = ()
        self.data = bytearray()
        self.window: Window
        self.moved = asyncio.Event()
        self.is_over = False
        self._requests = requests

    def enter(self, now: float) -> Limited | None:
        """Be counted by the limits of the caller; or say which of them it is beyond."""
        gate = self.intake.gate
        if gate is None:
            return None
        limited = gate.enter(self.owner, now)
        if limited is None:
            self.paid = gate.limiters
        return limited

    def leave(self) -> None:
        """No longer be counted: by those limits that count no call instead."""
        paid, self.paid = self.paid, ()
        for limiter in paid:
            limiter.leave(self.owner)

    def refuse(self, reason: NotStartedReason, retry_after_ms: int | None) -> None:
        """Lose the place; see `Coming`."""
        self._requests.give_up(self, reason, retry_after_ms)


class LargeRequests:
    """Collects large requests of one node.

    Args:
        carrier: what both directions share.

    Attributes:
        beginning: the request that is whole, while its call is made of it; nearly always None.
    """

    def __init__(self, carrier: Carrier) -> None:
        self._replies, self._book, self._clock, self._tasks, self._me, self._max_payload, max_body = carrier
        self._node = f"{self._me[0]}.{self._me[1]}"
        self._max_body = max_body
        self._coming: dict[str, _Offered] = {}
        self._whole: dict[str, _Offered] = {}
        self._room = Room(BODIES_OF_ONE * max_body, BODIES_OF_ALL * max_body)
        self._draining = False
        self.beginning: _Offered | None = None

    def __len__(self) -> int:
        return len(self._coming)

    def begin(
        self,
        route: ReplyRoute,
        data: bytes,
        headers: Headers | None,
        begin: Callable[[bytes], None],
        intake: Intake,
        place: Place,
    ) -> bool:
        """Take an offer that came in a request's place; return False if it is no offer.

        Args:
            route: where the request is answered.
            data: what came.
            headers: that it came with.
            begin: takes the request, once it is whole.
            intake: refuses it, and knows the limits of its caller.
            place: keeps a place for it.
        """
        if headers is None or headers.get(HEADER) != PARTS or not (route.frames and understands(route.scope)):
            return False
        try:
            offer, inline = unpack(data, Offer)
        except msgspec.DecodeError:
            return False
        now = self._clock.monotonic()
        if self._book.knows(
            route.key, now
        ):  # it came twice: a refusal would say of the first that it did not begin
            return True
        refusal = self._refusal(route, offer)
        if refusal is not None:
            intake.refuse(route, refusal)
            return True
        left_s = (route.deadline_ms - self._clock.wall_ms()) / 1000 if route.deadline_ms else _BARE_TIMEOUT_S
        offered = _Offered(self, route, offer, now + left_s, begin, intake, place)
        if self._charge(offered, now):
            inline = inline[: offer.size]
            offered.data += inline
            offered.window = Window(offer.size, len(inline), now, self._max_payload() - HEAD_BYTES)
            self._coming[route.key] = offered
            self._tasks.start(self._collect(offered), name="large request")
        return True

    def put(self, route: ReplyRoute, data: bytes) -> None:
        """Take a part.

        Raises:
            msgspec.DecodeError: it is none.
        """
        head, part = unpack(data, Put)
        offered = self._coming.get(f"{route.scope}.{head.call}")
        now = self._clock.monotonic()
        if offered is not None and offered.window.came(head.at, len(part), now):
            offered.data += part
            offered.moved.set()
            self._room.moved(offered.key, now)

    def drop(self, key: str) -> bool:
        """Forget a request that nobody wants any more; return False if there is none."""
        offered = self._coming.get(key)
        if offered is None:
            return False
        self.give_up(offered, None, None)
        return True

    def drain(self) -> None:
        """Take no more, and send those that are on their way elsewhere."""
        self._draining = True
        for offered in tuple(self._coming.values()):
            self.give_up(offered, "draining", None)
        self._settle()

    def give_up(self, offered: _Offered, reason: NotStartedReason | None, retry_after_ms: int | None) -> None:
        """End an offer of which no call will come, and give back all that it was charged; once.

        Args:
            offered: the offer.
            reason: what its asker is told; None: nobody waits for it.
            retry_after_ms: when it makes sense to come again.
        """
        if self._coming.get(offered.key) is not offered:
            return
        del self._coming[offered.key]
        offered.is_over = True
        offered.data = bytearray()
        offered.moved.set()
        self._return(offered)
        self._book.ended(offered.key, self._clock.monotonic())
        if reason is not None:
            self._refuse(offered, reason, retry_after_ms)

    def _refusal(self, route: ReplyRoute, offer: Offer) -> bytes | None:
        """The answer to an offer that is refused whatever else there is."""
        if self._draining:
            return jsonrpc.encode_not_started(None, "draining")
        if route.deadline_ms and route.deadline_ms <= self._clock.wall_ms():
            return jsonrpc.encode_not_started(None, "expired")
        size = max(offer.size, offer.whole)
        if size > self._max_body:
            text = f"a request of {size} bytes is over this node's limit of {self._max_body} bytes"
            reason = {"reason": "request_too_large"}
            return jsonrpc.encode_error(None, codes.INVALID_REQUEST, text, reason)
        return None

    def _charge(self, offered: _Offered, now: float) -> bool:
        """Charge an offer as a request of its size; return False, and charge nothing, if it may not come."""
        route, key = offered.route, offered.key
        limited = offered.enter(now)
        if limited is not None:
            retry_ms = max(1, round(limited.retry_after_s * 1000))
            refusal = jsonrpc.encode_not_started(None, "busy", retry_ms, limited.limit)
            offered.intake.refuse(route, refusal)
            return False
        if self._book.arrived(key, route.scope, now, frames=True) != "new":  # it was cancelled before it came
            if offered.intake.gate is not None:
                offered.intake.gate.forget(offered.owner)
            offered.intake.refuse(route, jsonrpc.encode_not_started(None, "not_here"))
            return False
        after_ms: int | None = None
        reason = offered.place.reserve(offered)
        if reason == "busy":
            after_ms = offered.place.retry_after_ms()
        elif reason is None:
            self._settle()
            size = max(offered.offer.size, offered.offer.whole)
            gone = self._room.take(key, offered.owner, size, now)
            if gone is None:
                reason, after_ms = "busy", _BUSY_MS
            else:
                for each in gone:
                    self._give_way(each)
        if reason is None:
            return True
        self._return(offered)
        self._book.ended(key, now)
        self._refuse(offered, reason, after_ms)
        return False

    def _return(self, offered: _Offered) -> None:
        offered.place.release(offered.key)
        offered.leave()
        self._room.give(offered.key)

    def _refuse(self, offered: _Offered, reason: NotStartedReason, retry_after_ms: int | None) -> None:
        node = self._node if reason == "busy" else None
        refusal = jsonrpc.encode_not_started(None, reason, retry_after_ms, node=node)
        offered.intake.refuse(offered.route, refusal)

    def _give_way(self, key: str) -> None:
        """A request has lost its room to another one."""
        offered = self._coming.get(key)
        if offered is not None:
            event(_log, "request.gave_way", logging.INFO, call=offered.route.call)
            self.give_up(offered, "busy", _BUSY_MS)
            return
        waiting = self._whole.pop(key).intake.calls.get(key)
        if waiting is not None:
            waiting.cell.turn_away(key)

    async def _collect(self, offered: _Offered) -> None:
        reason: NotStartedReason | None = "draining"  # what a node says that is closed meanwhile
        try:
            reason = await self._pull(offered)
            if reason is None and not offered.is_over:
                data, offered.data = offered.data, bytearray()
                async with asyncio.timeout(offered.deadline - self._clock.monotonic()):
                    body = await in_thread(BODIES, unpack_body, offered.offer, data)
                self._begin(offered, body)
        except TimeoutError:
            reason = "expired"
        except Damaged as error:
            event(_log, "request.damaged", logging.WARNING, call=offered.route.call, reason=str(error))
            reason = "not_here"
        finally:
            self.give_up(offered, reason, None)

    def _begin(self, offered: _Offered, body: bytes) -> None:
        """Make a call of a request that is whole; its place and its limits go over to that call."""
        key = offered.key
        if self._coming.get(key) is not offered:  # nobody wants it any more
            return
        del self._coming[key]
        offered.is_over = True
        offered.place.release(key)
        self._book.forget(key)
        self._whole[key] = offered
        self.beginning = offered
        try:
            offered.begin(body)
        finally:
            self.beginning = None
            offered.leave()
            self._settle()

    def _settle(self) -> None:
        """Give back the room of requests that do not wait any more: they run, or have ended."""
        for key, offered in tuple(self._whole.items()):
            call = offered.intake.calls.get(key)
            if call is None or not call.cell.waits(key):
                del self._whole[key]
                self._room.give(key)

    async def _pull(self, offered: _Offered) -> NotStartedReason | None:
        """Ask for range after range; None: everything is there, or nobody wants it; else why not."""
        window = offered.window
        while not offered.is_over and not window.is_whole:
            now = self._clock.monotonic()
            if now >= offered.deadline:
                return "expired"
            if now >= window.idle_since + IDLE_S:
                return "not_here"
            for each in window.ask(now):
                pull = Pull(*self._me, at=each.at, bytes=each.size)
                self._replies.frame(offered.route, msgspec.json.encode(pull), _PULL)
            until = min(window.due, offered.deadline, window.idle_since + IDLE_S)
            offered.moved.clear()
            try:
                async with asyncio.timeout(max(0.01, until - now)):
                    await offered.moved.wait()
            except TimeoutError:
                continue
        return None
