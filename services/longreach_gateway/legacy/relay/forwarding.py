"""The asker's side: an exchange that came here, answered by the gateway that has the session.

Whatever becomes of that gateway, the client gets an answer: "not found" where it is gone, so that the client
begins a new session; an error on its stream where it was lost on the way.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from functools import partial
from typing import TYPE_CHECKING

from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.wire import codes
from longreach_gateway.answers import Refusal
from longreach_gateway.legacy.relay import frames
from longreach_gateway.legacy.relay.forwarded import (
    Ending,
    Forwarded,
    Owner,
    is_stream,
    lost_event,
    opening_of,
    start_of,
    watch,
)
from longreach_gateway.legacy.relay.frames import Beat, Beaten, Frame, Open

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach_gateway.answers import Send
    from longreach_gateway.legacy.exchange import Exchange
    from longreach_gateway.legacy.ids import GatewayAddress
    from longreach_gateway.legacy.relay.channel import Channel

_log = logging.getLogger("longreach.gateway.relay")
BEAT_EVERY_S = 2.0
SECOND_BEAT_S = 0.3
SILENT_S = 15.0
TAKEN_S = 5.0
MAX_FORWARDED = 20_000


class Forwarder:
    """Takes exchanges to the gateways that have their sessions.

    Args:
        channel: to them.
        clock: the time.
    """

    def __init__(self, channel: Channel, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._channel = channel
        self._clock = clock
        self._tasks = TaskSet("forwarded exchanges")
        self._owners: dict[GatewayAddress, Owner] = {}
        self._numbers = itertools.count(1)
        self._count = 0
        self._stop_hearing_refusals: Callable[[], None] | None = None

    def __len__(self) -> int:
        return self._count

    def open(self) -> None:
        """Look after what is forwarded, from now on."""
        self._tasks.start(self._beat_for_ever(), name="beat")
        self._stop_hearing_refusals = self._channel.on_refused(self._refused)

    async def close(self) -> None:
        """End what is forwarded."""
        if self._stop_hearing_refusals is not None:
            self._stop_hearing_refusals()
            self._stop_hearing_refusals = None
        for owner in tuple(self._owners.values()):
            owner.lost("lost")
        await self._tasks.close()

    async def forward(self, owner: GatewayAddress, exchange: Exchange) -> None:
        """Let `owner` answer an exchange.

        Raises:
            Refusal: it does not, and nothing has been sent.
        """
        if self._count >= MAX_FORWARDED:
            raise Refusal(503, codes.INTERNAL_ERROR, "too many exchanges are forwarded; try again")
        forwarded = Forwarded(owner)
        known = self._owner(owner)
        known.exchanges[forwarded.exchange] = forwarded
        self._count += 1
        self._channel.hear(forwarded.exchange, forwarded.heard)
        try:
            opening = opening_of(self._channel.address, forwarded, exchange)
            await self._begin(known, forwarded, opening, exchange.body or b"")
            watching = self._tasks.spawn(watch(exchange.receive, forwarded), name="client")
            try:
                await self._pass_on(forwarded, exchange.send, lost_event(exchange))
            finally:
                watching.cancel()
        finally:
            self._end(known, forwarded)

    def _owner(self, address: GatewayAddress) -> Owner:
        known = self._owners.get(address)
        if known is None:
            known = Owner(address, f"beat-{next(self._numbers)}", self._clock.monotonic())
            self._owners[address] = known
            self._channel.hear(known.verb, partial(self._beaten, known))
        return known

    def _end(self, owner: Owner, forwarded: Forwarded) -> None:
        self._channel.forget(forwarded.exchange)
        self._count -= 1
        del owner.exchanges[forwarded.exchange]
        if not forwarded.taken:  # one of the refusals may have been its own
            owner.refusals = max(0, owner.refusals - 1)
        if not forwarded.over:
            self._channel.send(owner.address, forwarded.exchange, Frame("close"))
        if not owner.exchanges:
            self._channel.forget(owner.verb)
            self._owners.pop(owner.address, None)

    async def _begin(self, owner: Owner, forwarded: Forwarded, opening: Open, body: bytes) -> None:
        """Give the request to the owner; returns once it has said that it has it."""
        chunk = self._channel.chunk
        first = await self._offer(forwarded, opening, body[:chunk])
        if first == "nobody":
            await asyncio.sleep(SECOND_BEAT_S)  # once may be a reconnect
            if forwarded.came.empty():  # else it was refused meanwhile
                first = await self._offer(forwarded, opening, body[:chunk])
            else:
                first = forwarded.came.get_nowait()
        if first in ("nobody", "refused"):
            forwarded.over = True
            raise gone()
        if isinstance(first, str) or first[0].kind != "taken":
            raise Refusal(503, codes.INTERNAL_ERROR, "the gateway that has this session is too busy")
        owner.settle()
        for number, at in enumerate(range(chunk, len(body), chunk), 1):
            frame = Frame("part", number)
            self._channel.send(forwarded.owner, forwarded.exchange, frame, body[at : at + chunk])

    async def _offer(
        self, forwarded: Forwarded, opening: Open, payload: bytes
    ) -> tuple[Frame, bytes] | Ending:
        """Send the request; the first thing that comes back."""
        verb = forwarded.exchange
        if not self._channel.send(forwarded.owner, frames.OPEN, opening, payload, answer=verb):
            raise Refusal(503, codes.INTERNAL_ERROR, "no connection to the mesh just now; try again")
        try:
            async with asyncio.timeout(TAKEN_S):
                return await forwarded.came.get()
        except TimeoutError:
            text = "the gateway that has this session does not answer; try again"
            raise Refusal(503, codes.INTERNAL_ERROR, text) from None

    async def _pass_on(self, forwarded: Forwarded, send: Send, last_word: bytes) -> None:
        begun = False
        while True:
            came = await forwarded.came.get()
            if came == "left":
                return
            if isinstance(came, str) or came[0].kind == "failed":
                forwarded.over = isinstance(came, tuple)
                if not begun:
                    text = "the gateway that has this session lost the request, which may have run"
                    raise Refusal(502, codes.INTERNAL_ERROR, text, {"delivered": "unknown"})
                await send({"type": "http.response.body", "body": last_word})
                return
            frame, payload = came
            if frame.kind == "head" and not begun:
                begun = True
                last_word = last_word if is_stream(frame) else b""
                await send(start_of(frame))
            elif frame.kind == "body" and begun:
                await send({"type": "http.response.body", "body": payload, "more_body": True})
                if (total := forwarded.credit(len(payload))) is not None:
                    self._channel.send(forwarded.owner, forwarded.exchange, Frame("credit", total=total))
            elif frame.kind == "end":
                forwarded.over = True
                await send({"type": "http.response.body", "body": b""})
                return

    async def _beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            for owner in tuple(self._owners.values()):
                self.beat(owner)

    def beat(self, owner: Owner) -> None:
        """Ask an owner whether it still has what we wait for."""
        if self._clock.monotonic() - owner.heard > SILENT_S:
            event(_log, "owner.silent", logging.WARNING, gateway=str(owner.address))
            owner.lost("lost")
            return
        waiting = [each.exchange for each in owner.exchanges.values() if each.taken]
        for at in range(0, len(waiting), frames.MAX_PER_BEAT):
            beat = Beat(self._channel.address, owner.verb, waiting[at : at + frames.MAX_PER_BEAT])
            self._channel.send(owner.address, frames.BEAT, beat, answer=owner.verb)

    def _beaten(self, owner: Owner, data: bytes | None) -> None:
        if data is None:
            owner.misses += 1
            if owner.misses > 1:
                event(_log, "owner.gone", logging.WARNING, gateway=str(owner.address))
                owner.lost("lost")
            else:
                asyncio.get_running_loop().call_later(SECOND_BEAT_S, self.beat, owner)
            return
        try:
            answer, _ = frames.decode(data, Beaten)
        except ValueError:
            return
        owner.misses = 0
        owner.heard = self._clock.monotonic()
        for exchange in answer.gone:
            if (forwarded := owner.exchanges.get(exchange)) is not None:
                forwarded.came.put_nowait("lost")

    def _refused(self, subject: str) -> None:
        """The broker does not let us speak to an owner: for what it has not taken, it is not there."""
        for owner in tuple(self._owners.values()):
            if self._channel.subject(owner.address, frames.OPEN).lower() == subject:
                owner.refused()


def gone() -> Refusal:
    """The session is not there (any more): its client opens a new one."""
    return Refusal(404, codes.INVALID_REQUEST, "this session is not there; initialize again")
