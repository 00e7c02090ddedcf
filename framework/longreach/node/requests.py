"""Requests that no message holds: their parts are pulled from the asker, and only a whole one begins.

An offer comes in the place of the request, through the queue group like any. The node asks for range after
range with frames on the call's own reply subject; the asker puts them to this very node. While that goes on
the call is here, by the node's book, but has not begun. Source: docs/binding.md 16.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from longreach.observe import event
from longreach.policy.parts import BODIES_OF_ALL, BODIES_OF_ONE, IDLE_S, Room, Window
from longreach.threads import BODIES, in_thread
from longreach.wire import codes, jsonrpc
from longreach.wire.frames import HEADER
from longreach.wire.packing import Damaged, unpack_body
from longreach.wire.parts import HEAD_BYTES, PARTS, PULL, Offer, Pull, Put, understands, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.node.carrier import Carrier
    from longreach.node.replies import ReplyRoute
    from longreach.transport.link import Headers
    from longreach.wire.codes import NotStartedReason

_log = logging.getLogger("longreach.node.requests")
_PULL = {HEADER: PULL}
_BARE_TIMEOUT_S = 60.0
_BUSY_MS = 500


class _Coming:
    """One request that is on its way."""

    def __init__(self, route: ReplyRoute, offer: Offer, window: Window, give_up_at: float) -> None:
        self.route = route
        self.asker = route.scope.rpartition(".")[0]
        self.offer = offer
        self.room = max(offer.size, offer.whole)
        self.window = window
        self.give_up_at = give_up_at
        self.data = bytearray()
        self.moved = asyncio.Event()
        self.wanted = True


class LargeRequests:
    """Collects large requests of one node.

    Args:
        carrier: what both directions share.
    """

    def __init__(self, carrier: Carrier) -> None:
        self._replies, self._book, self._clock, self._tasks, self._me, self._max_payload, max_body = carrier
        self._max_body = max_body
        self._coming: dict[str, _Coming] = {}
        self._room = Room(BODIES_OF_ONE * max_body, BODIES_OF_ALL * max_body)
        self._draining = False

    def __len__(self) -> int:
        return len(self._coming)

    def begin(
        self, route: ReplyRoute, data: bytes, headers: Headers | None, begin: Callable[[bytes], None]
    ) -> bool:
        """Take an offer that came in a request's place; False: it is none.

        Args:
            route: where the request is answered.
            data: what came.
            headers: that it came with.
            begin: takes the request, once it is whole.
        """
        if headers is None or headers.get(HEADER) != PARTS or not (route.frames and understands(route.scope)):
            return False
        try:
            offer, inline = unpack(data, Offer)
        except msgspec.DecodeError:
            return False
        refusal = self._refusal(route, offer)
        if refusal is not None:
            self._replies.refuse(route, refusal)
            return True
        now = self._clock.monotonic()
        verdict = self._book.arrived(route.key, route.scope, now, frames=True)
        if verdict == "new":
            self._take(route, offer, inline, begin, now)
        elif verdict == "tombstoned":
            self._replies.refuse(route, jsonrpc.encode_not_started(None, "not_here"))
        return True

    def put(self, route: ReplyRoute, data: bytes) -> None:
        """Take a part.

        Raises:
            msgspec.DecodeError: it is none.
        """
        head, part = unpack(data, Put)
        coming = self._coming.get(f"{route.scope}.{head.call}")
        if coming is not None and coming.window.came(head.at, len(part), self._clock.monotonic()):
            coming.data += part
            coming.moved.set()

    def drop(self, key: str) -> bool:
        """Nobody wants that request any more; False: there is none."""
        coming = self._coming.get(key)
        if coming is None:
            return False
        coming.wanted = False
        coming.moved.set()
        return True

    def drain(self) -> None:
        """Take no more, and send those that are on their way elsewhere."""
        self._draining = True
        for coming in self._coming.values():
            coming.moved.set()

    def _refusal(self, route: ReplyRoute, offer: Offer) -> bytes | None:
        if self._draining:
            return jsonrpc.encode_not_started(None, "draining")
        if route.deadline_ms and route.deadline_ms <= self._clock.wall_ms():
            return jsonrpc.encode_not_started(None, "expired")
        size = max(offer.size, offer.whole)
        if size > self._max_body:
            text = f"a request of {size} bytes is over this node's limit of {self._max_body} bytes"
            reason = {"reason": "request_too_large"}
            return jsonrpc.encode_error(None, codes.INVALID_REQUEST, text, reason)
        if not self._room.take(route.scope.rpartition(".")[0], size):
            return jsonrpc.encode_not_started(None, "busy", _BUSY_MS)
        self._room.give(route.scope.rpartition(".")[0], size)
        return None

    def _take(
        self, route: ReplyRoute, offer: Offer, inline: bytes, begin: Callable[[bytes], None], now: float
    ) -> None:
        left_s = (route.deadline_ms - self._clock.wall_ms()) / 1000 if route.deadline_ms else _BARE_TIMEOUT_S
        inline = inline[: offer.size]
        window = Window(offer.size, len(inline), now, self._max_payload() - HEAD_BYTES)
        coming = _Coming(route, offer, window, now + left_s)
        coming.data += inline
        self._room.take(coming.asker, coming.room)
        self._coming[route.key] = coming
        self._tasks.start(self._collect(coming, begin), name="large request")

    async def _collect(self, coming: _Coming, begin: Callable[[bytes], None]) -> None:
        key = coming.route.key
        body: bytes | None = None
        reason: NotStartedReason | None = "draining"  # what a node says that is closed meanwhile
        try:
            reason = await self._pull(coming)
            if reason is None and coming.wanted:
                data, coming.data = bytes(coming.data), bytearray()
                async with asyncio.timeout(coming.give_up_at - self._clock.monotonic()):
                    body = await in_thread(BODIES, unpack_body, coming.offer, data)
                if self._draining:
                    body, reason = None, "draining"
        except TimeoutError:
            reason = "expired"
        except Damaged as error:
            event(_log, "request.damaged", logging.WARNING, call=coming.route.call, reason=str(error))
            reason = "not_here"
        finally:
            del self._coming[key]
            self._room.give(coming.asker, coming.room)
            if body is not None and coming.wanted:
                self._book.forget(key)
            else:
                self._book.ended(key, self._clock.monotonic())
        if body is not None and coming.wanted:
            begin(body)
        elif coming.wanted and reason is not None:
            self._replies.refuse(coming.route, jsonrpc.encode_not_started(None, reason))

    async def _pull(self, coming: _Coming) -> NotStartedReason | None:
        """Ask for range after range; None: everything is there, or nobody wants it; else why not."""
        window = coming.window
        while coming.wanted and not window.is_whole:
            now = self._clock.monotonic()
            if self._draining:
                return "draining"
            if now >= coming.give_up_at:
                return "expired"
            if now >= window.idle_since + IDLE_S:
                return "not_here"
            for each in window.ask(now):
                pull = Pull(*self._me, at=each.at, bytes=each.size)
                self._replies.frame(coming.route, msgspec.json.encode(pull), _PULL)
            until = min(window.due, coming.give_up_at, window.idle_since + IDLE_S)
            coming.moved.clear()
            try:
                async with asyncio.timeout(max(0.01, until - now)):
                    await coming.moved.wait()
            except TimeoutError:
                continue
        return None
