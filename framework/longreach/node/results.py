"""Results that no message holds: offered to their askers, and given to them range by range.

A result is kept until its asker says that it has come whole, cancels, or falls silent, or until its
deadline; so long its call is here, by the node's book. Nothing is sent that was not asked for. A result
that is not asked for is given up before, and so is one of an asker that holds most, where others need the
room (`policy.room`): its asker is told with an error in the place of the result. Source: docs/binding.md
16.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from longreach.node.replies import Replies
from longreach.observe import event
from longreach.policy.parts import BODIES_OF_ALL, BODIES_OF_ONE, IDLE_RESULT_S
from longreach.policy.room import Room
from longreach.threads import BODIES, in_thread
from longreach.wire.frames import HEADER
from longreach.wire.packing import Packed, pack_body
from longreach.wire.parts import (
    HEAD_BYTES,
    INLINE_BYTES,
    MAX_PART_BYTES,
    PARTS,
    PartRequest,
    pack,
    understands,
    unpack,
    wants_compressed,
)

if TYPE_CHECKING:
    from longreach.node.carrier import Carrier
    from longreach.node.replies import ReplyRoute
    from longreach.wire import jsonrpc

_log = logging.getLogger("longreach.node.results")
COMPRESS_ABOVE_BYTES = 64 * 1024
"""What is smaller is not compressed, where a message holds it."""
_OFFER = {HEADER: PARTS}
_BARE_TIMEOUT_S = 60.0
OFFER_AGAIN_S = 1.0
"""An offer may be lost with a broker. Its asker, which asks every 500 ms whether the call is still here, gets
another one so often until it has asked for a range."""
_NAMED = 20
"""So many calls are named where results are given up."""


class _Held:
    """One result that waits to be fetched.

    Attributes:
        give_up_at: its deadline, in monotonic seconds.
        data: what is sent of it; None while it is packed.
        pulled: up to where it was asked for, in bytes.
        packed: what the offer says of it; None while it is packed.
        offered_at: when it was offered last, in monotonic seconds.
        is_asked_for: whether its asker has asked for any of it, and so knows of the offer.
        timer: looks whether it is still wanted.
    """

    def __init__(self, route: ReplyRoute, request_id: jsonrpc.RequestId | None, give_up_at: float) -> None:
        self.route = route
        self.request_id = request_id
        self.give_up_at = give_up_at
        self.data: bytes | None = None
        self.pulled = 0
        self.packed: Packed | None = None
        self.offered_at = 0.0
        self.is_asked_for = False
        self.timer: asyncio.TimerHandle | None = None


class CompressingReplies(Replies):
    """Replies of a node that compresses: what is not small takes the way of large results."""

    def respond(self, route: ReplyRoute, request_id: jsonrpc.RequestId | None, data: bytes) -> None:
        """See `Replies.respond`."""
        is_wanted = len(data) > COMPRESS_ABOVE_BYTES and wants_compressed(route.scope)
        if not (is_wanted and self.large is not None and self.large(route, request_id, data)):
            super().respond(route, request_id, data)


class LargeResults:
    """Keeps large results of one node until they are fetched.

    Args:
        carrier: what both directions share.
        compress: whether results are compressed for askers that want that.
    """

    def __init__(self, carrier: Carrier, *, compress: bool = False) -> None:
        self._replies, self._book, self._clock, self._tasks, self._me, self._max_payload, max_body = carrier
        self._max_body = max_body
        self._compress = compress
        self._held: dict[str, _Held] = {}
        self._room = Room(BODIES_OF_ONE * max_body, BODIES_OF_ALL * max_body)
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._held)

    def offer(self, route: ReplyRoute, request_id: jsonrpc.RequestId | None, data: bytes) -> bool:
        """Offer a result to its asker; return False if that one does not understand parts.

        What is too large even so, or finds no room, is answered with an error.
        """
        if not (route.frames and understands(route.scope)):
            return False
        size, now = len(data), self._clock.monotonic()
        if size > self._max_body:
            why = f"its {size} bytes are over this node's limit, max_body_bytes = {self._max_body}"
            self._replies.fail(route, request_id, why)
            return True
        asker = route.scope.rpartition(".")[0]
        gone = self._room.take(route.key, asker, size, now)
        if gone is None:
            why = "too many large results wait to be fetched; fetch them first"
            self._replies.fail(route, request_id, why)
            return True
        for key in gone:
            self._give_up(key, "it was not fetched, and others needed its room on the node")
        left_s = (route.deadline_ms - self._clock.wall_ms()) / 1000 if route.deadline_ms else _BARE_TIMEOUT_S
        held = self._held[route.key] = _Held(route, request_id, now + left_s)
        self._book.again(route.key, route.scope, now)
        self._empty.clear()
        self._tasks.start(self._send(held, data), name="large result")
        return True

    def give(self, route: ReplyRoute, data: bytes) -> None:
        """Answer the question for a range.

        Raises:
            msgspec.DecodeError: it is none.
        """
        asked, _ = unpack(data, PartRequest)
        key = f"{route.scope}.{asked.call}"
        held = self._held.get(key)
        if held is not None:
            held.is_asked_for = True
        if held is None or held.data is None:
            if asked.bytes:
                self._replies.frame(route, b"", None)
        elif asked.at >= len(held.data):
            self.drop(key)
        elif self._replies.has_room:
            self._give(key, route, asked)
        else:
            self._room.moved(key, self._clock.monotonic())
            self._replies.later(lambda: self._give(key, route, asked))

    def asked_about(self, key: str) -> None:
        """Offer a result once more if its asker asks whether the call is here, and was never told."""
        held, now = self._held.get(key), self._clock.monotonic()
        if held is None or held.packed is None or held.is_asked_for or now < held.offered_at + OFFER_AGAIN_S:
            return
        held.offered_at, held.pulled = now, 0
        self._replies.offer(held.route, pack(held.packed.offer, b""), _OFFER, whole=False)

    def _give(self, key: str, route: ReplyRoute, asked: PartRequest) -> None:
        """Send a range; it is no longer there if its asker has given up meanwhile."""
        held = self._held.get(key)
        if held is None or held.data is None:
            return
        size = min(max(1, asked.bytes), MAX_PART_BYTES, self._most())
        held.pulled = max(held.pulled, asked.at + size)
        self._room.moved(key, self._clock.monotonic())
        self._replies.frame(route, held.data[asked.at : asked.at + size], None)

    def drop(self, key: str, why: str | None = None) -> bool:
        """Forget a result that nobody wants any more; return False if there is none.

        Args:
            key: of its call.
            why: for the log, where its asker did not ask for it.
        """
        held = self._held.get(key)
        if held is None:
            return False
        if why is not None:
            event(_log, "result.dropped", logging.WARNING, call=held.route.call, why=why)
        self._free(key)
        self._book.ended(key, self._clock.monotonic())
        return True

    def _free(self, key: str) -> None:
        """Keep a result no longer; whether its call has ended is said elsewhere."""
        held = self._held.pop(key)
        if held.timer is not None:
            held.timer.cancel()
        self._room.give(key)
        if not self._held:
            self._empty.set()

    async def fetched(self, timeout_s: float) -> None:
        """Wait until all that is kept has been fetched; at most `timeout_s`, then give up the rest."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            self.close()

    def close(self) -> None:
        """Keep nothing, and tell those who wait; what is given up is logged."""
        if self._held:
            event(
                _log,
                "results.given_up",
                logging.WARNING,
                why="the node ended before they were fetched",
                count=len(self._held),
                calls=[held.route.call for held in self._held.values()][:_NAMED],
            )
        for key in tuple(self._held):
            self._give_up(key, "the node ended before it was fetched")

    async def _send(self, held: _Held, data: bytes) -> None:
        route = held.route
        compress = self._compress and wants_compressed(route.scope)
        identity, instance, region = self._me
        try:
            async with asyncio.timeout(held.give_up_at - self._clock.monotonic()):
                packed: Packed = await in_thread(
                    BODIES, pack_body, data, compress, identity=identity, instance=instance, region=region
                )
        except TimeoutError:
            if self._held.get(route.key) is held:
                self._look(route.key)
            return
        if self._held.get(route.key) is not held:  # nobody waits any more
            return
        inline = packed.data[: min(INLINE_BYTES, self._most())]
        held.data, held.pulled = packed.data, len(inline)
        self._room.shrink(route.key, len(packed.data))
        self._room.moved(route.key, self._clock.monotonic())
        if len(inline) == len(packed.data):
            self._free(route.key)
            self._replies.offer(route, pack(packed.offer, inline), _OFFER, whole=True)
            return
        if not self._replies.has_room:
            inline, held.pulled = b"", 0  # the offer is small, and overtakes
        held.packed, held.offered_at = packed, self._clock.monotonic()
        self._replies.offer(route, pack(packed.offer, inline), _OFFER, whole=False)
        self._look(route.key)

    def _look(self, key: str) -> None:
        """Give a result up if it is time to, or look again when it may be."""
        held, now = self._held[key], self._clock.monotonic()
        idle_at = self._room.rests_since(key) + IDLE_RESULT_S
        if now >= held.give_up_at:
            self.drop(key, "nobody fetched it in time")
        elif now >= idle_at:
            self._give_up(key, f"it was not asked for within {IDLE_RESULT_S:g} s")
        else:
            wait_s = min(held.give_up_at, idle_at) - now
            held.timer = asyncio.get_running_loop().call_later(wait_s, self._look, key)

    def _give_up(self, key: str, why: str) -> None:
        """Forget a result, and tell its asker, which may still wait for it, that it ran."""
        held = self._held[key]
        if held.data is None or held.pulled < len(held.data):
            event(_log, "result.dropped", logging.WARNING, call=held.route.call, why=why)
            self._free(key)
            self._replies.fail(held.route, held.request_id, why)  # which ends the call
        else:
            self.drop(key, why)

    def _most(self) -> int:
        return max(1, self._max_payload() - HEAD_BYTES)
