"""The owner's side: another gateway's exchange, answered here as if it had come over HTTP.

What is sent waits for credit, so that a slow client far away holds up its own stream and fills nobody's
memory. An asker that is silent for too long is gone, and its exchanges with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach_gateway.auth.principal import Principal
from longreach_gateway.legacy.exchange import Exchange
from longreach_gateway.legacy.ids import GatewayAddress
from longreach_gateway.legacy.relay import frames
from longreach_gateway.legacy.relay.frames import Beat, Beaten, Frame, Open

if TYPE_CHECKING:
    from longreach_gateway.answers import Message, Scope
    from longreach_gateway.legacy.relay.channel import Channel

_log = logging.getLogger("longreach.gateway.relay")
SILENT_S = 15.0
_BODY_S = 15.0
_SWEEP_EVERY_S = 2.5
_MAX_HOSTED = 20_000
_DROPPED = frozenset({"connection", "transfer-encoding", "keep-alive"})

Answer = Callable[[Exchange], Awaitable[None]]
"""Answers one exchange, as if it had come here."""


class _Hosted:
    """One exchange: the ASGI `receive` and `send` of it."""

    def __init__(self, channel: Channel, opened: Open, payload: bytes) -> None:
        self.opened = opened
        self.asker = GatewayAddress(*opened.sender)
        self.closed = asyncio.Event()
        self.body_came = asyncio.Event()
        self._channel = channel
        self._body = bytearray()
        self._seq = 0
        self._parts = 0
        self._sent = 0
        self._credited = 0
        self._credit = asyncio.Event()
        self.ended = False
        self._take(payload)

    def take_body(self) -> bytes | None:
        """The request's body, which is kept no longer."""
        body = bytes(self._body)
        self._body.clear()
        return body if self.opened.method == "POST" else None

    def heard(self, data: bytes | None) -> None:
        """A frame of the asker came."""
        if data is None:
            self.close()
            return
        try:
            frame, payload = frames.decode(data, Frame)
        except ValueError:
            return
        if frame.kind == "close":
            self.close()
        elif frame.kind == "credit":
            self._credited = max(self._credited, frame.total)
        elif frame.kind == "part":
            self._parts += 1
            if frame.seq != self._parts:
                self.close()  # one was lost with the link
            self._take(payload)
        self._credit.set()

    def _take(self, payload: bytes) -> None:
        self._body += payload
        if len(self._body) > self.opened.size:
            self.close()
        elif len(self._body) == self.opened.size:
            self.body_came.set()

    def say(self, kind: Any, payload: bytes | memoryview = b"", **fields: Any) -> None:
        """Send the next frame; where it cannot be sent, the exchange is over."""
        self._seq += 1
        frame = Frame(kind, self._seq, **fields)
        if not self._channel.send(self.asker, self.opened.exchange, frame, payload):
            self.closed.set()

    async def receive(self) -> Message:
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.closed.is_set() or self.ended:
            return
        if message["type"] == "http.response.start":
            pairs = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in message["headers"]]
            headers = [pair for pair in pairs if pair[0].lower() not in _DROPPED]
            self.say("head", status=message["status"], headers=headers)
        elif message["type"] == "http.response.body":
            await self._send_body(memoryview(message.get("body", b"")))
            if not message.get("more_body", False) and not self.closed.is_set():
                self.ended = True
                self.say("end")

    async def _send_body(self, body: memoryview) -> None:
        chunk = min(self._channel.chunk, max(1, self.opened.window))
        for at in range(0, len(body), chunk):
            part = body[at : at + chunk]
            while self._sent + len(part) - self._credited > self.opened.window:
                if self.closed.is_set():
                    return
                self._credit.clear()
                await self._credit.wait()
            self._sent += len(part)
            self.say("body", part)

    def close(self) -> None:
        """Whoever asked is gone, or nothing good can come of it."""
        self.closed.set()
        self._credit.set()
        self.body_came.set()


class Host:
    """Answers what other gateways forward.

    Args:
        channel: to them.
        answer: answers one exchange.
        max_body: bytes of a request's body.
        clock: the time.
    """

    def __init__(
        self, channel: Channel, answer: Answer, *, max_body: int, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._channel = channel
        self._answer = answer
        self._max_body = max_body
        self._clock = clock
        self._tasks = TaskSet("hosted exchanges")
        self._hosted: dict[str, _Hosted] = {}
        self._heard_of: dict[GatewayAddress, float] = {}

    def __len__(self) -> int:
        return len(self._hosted)

    def open(self) -> None:
        """Answer from now on."""
        self._channel.hear(frames.OPEN, self._opened)
        self._channel.hear(frames.BEAT, self._beaten)
        self._tasks.start(self._sweep(), name="sweep")

    async def close(self) -> None:
        """Answer nothing any more."""
        self._channel.forget(frames.OPEN)
        for hosted in tuple(self._hosted.values()):
            hosted.close()
        await self._tasks.close()

    def end_silent(self) -> None:
        """End the exchanges of gateways that were not heard of for too long."""
        before = self._clock.monotonic() - SILENT_S
        waiting = {hosted.asker for hosted in self._hosted.values()}
        for asker in [each for each in self._heard_of if each not in waiting]:
            del self._heard_of[asker]
        for hosted in self._hosted.values():
            if self._heard_of.get(hosted.asker, 0.0) < before and not hosted.closed.is_set():
                event(_log, "asker.silent", logging.WARNING, gateway=str(hosted.asker))
                hosted.close()

    def _opened(self, data: bytes | None) -> None:
        if data is None:
            return
        try:
            opened, payload = frames.decode(data, Open)
        except ValueError as error:
            event(_log, "open.malformed", logging.WARNING, error=str(error))
            return
        if self._channel.hears(opened.exchange):  # a duplicate, or a name that would take a verb's place
            return
        hosted = _Hosted(self._channel, opened, payload)
        if opened.size > self._max_body or len(self._hosted) >= _MAX_HOSTED:
            hosted.say("failed")
            return
        self._heard_of[hosted.asker] = self._clock.monotonic()
        self._hosted[opened.exchange] = hosted
        self._channel.hear(opened.exchange, hosted.heard)
        self._tasks.start(self._serve(hosted), name="exchange")

    async def _serve(self, hosted: _Hosted) -> None:
        opened = hosted.opened
        try:
            hosted.say("taken")
            if await self._body_came(hosted):
                body = hosted.take_body()
                await self._answer(
                    Exchange(
                        _scope(opened),
                        hosted.receive,
                        hosted.send,
                        body,
                        opened.server,
                        opened.caller,
                        _principal(opened),
                    )
                )
        finally:
            if not (hosted.ended or hosted.closed.is_set()):
                hosted.say("failed")
            hosted.close()
            self._channel.forget(opened.exchange)
            self._hosted.pop(opened.exchange, None)

    @staticmethod
    async def _body_came(hosted: _Hosted) -> bool:
        try:
            async with asyncio.timeout(_BODY_S):
                await hosted.body_came.wait()
        except TimeoutError:
            event(_log, "body.missing", logging.WARNING, gateway=str(hosted.asker))
            return False
        return not hosted.closed.is_set()

    def _beaten(self, data: bytes | None) -> None:
        if data is None:
            return
        try:
            beat, _ = frames.decode(data, Beat)
        except ValueError:
            return
        asker = GatewayAddress(*beat.sender)
        self._heard_of[asker] = self._clock.monotonic()
        gone = [exchange for exchange in beat.exchanges if exchange not in self._hosted]
        self._channel.send(asker, beat.answer, Beaten(gone))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            self.end_silent()


def _principal(opened: Open) -> Principal | None:
    if opened.caller is None:
        return None
    claims = None if opened.claims is None else msgspec.json.encode(opened.claims)
    return Principal(opened.caller, expires_at=opened.until, claims=claims)


def _scope(opened: Open) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": opened.method,
        "scheme": "http",
        "path": opened.path,
        "raw_path": opened.path.encode("utf-8", errors="replace"),
        "query_string": opened.query.encode("latin-1", errors="replace"),
        "root_path": "",
        "headers": [(key.encode("latin-1"), value.encode("latin-1")) for key, value in opened.headers],
        "client": None if opened.client is None else (opened.client, 0),
        "server": None,
    }
