"""JSON-RPC with a foreign server over a channel: requests and their answers, in both directions."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Raw

from longreach.errors import ProtocolError
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.wire import codes
from longreach.wire.jsonrpc import RequestId
from longreach.wire.values import NotFinite, check_finite
from longreach_bridge.foreign.calls import (
    NOT_JSON,
    Ask,
    ForeignCall,
    Head,
    Message,
    Note,
    Params,
    decode_head,
    decode_message,
    own_id,
)
from longreach_bridge.foreign.channel import Arrived, Channel, Lost, Outgoing

_log = logging.getLogger("longreach.bridge")
_CANCEL_TIMEOUT_S = 5.0


class Listener(Protocol):
    """Who hears what the foreign server says beside its answers."""

    def asked(self, ask: Ask, call: ForeignCall | None) -> None:
        """It asks something, on the stream of `call` if that is known."""
        ...

    def told(self, method: str, params: Params, call: ForeignCall | None) -> None:
        """It says something; of progress, `call` is whose progress it is."""
        ...


_encoder = msgspec.json.Encoder()


class Peer:
    """Speaks JSON-RPC on a channel.

    Args:
        name: for logs.
        channel: opened, and closed, by this.
        listener: of what the foreign server says and asks.
    """

    def __init__(self, name: str, channel: Channel, listener: Listener) -> None:
        self.name = name
        self.channel = channel
        self.version: str | None = None
        self._listener = listener
        self._calls: dict[RequestId, ForeignCall] = {}
        self._last_id = 0
        self._tasks = TaskSet(f"peer {name}")
        self._reading: asyncio.Task[Lost] | None = None

    @property
    def calls(self) -> tuple[ForeignCall, ...]:
        """The requests that have not ended, oldest first."""
        return tuple(self._calls.values())

    async def open(self) -> None:
        """Open the channel, and listen to it.

        Raises:
            Lost: it cannot be opened.
        """
        await self.channel.open()
        self._reading = self._tasks.spawn(self._read(), name=f"read {self.name}")

    async def gone(self) -> Lost:
        """Wait until the foreign server is gone; why."""
        assert self._reading is not None
        return await asyncio.shield(self._reading)

    async def close(self) -> None:
        """Close the channel; what has not ended is lost."""
        self._lose(Lost("the bridge has let go of it", sent=True))
        await self._tasks.close()
        await self.channel.close()

    def prepare(self, method: str, on_note: Note | None = None) -> ForeignCall:
        """A request that is not sent yet; `on_note` hears of its progress and log messages."""
        self._last_id += 1
        call = ForeignCall(self._last_id, method)
        call.on_note = on_note
        return call

    async def send(
        self,
        call: ForeignCall,
        params: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        wants_progress: bool = False,
    ) -> None:
        """Send a request.

        Args:
            call: prepared.
            params: of the request.
            headers: for the channel, where it has such.
            wants_progress: ask for progress, under a token of our own.

        Raises:
            Lost: it could not be sent; `sent` says whether it may have been all the same.
        """
        if wants_progress:
            meta = msgspec.json.decode(params["_meta"], type=Params) if "_meta" in params else {}
            params = {**params, "_meta": {**meta, "progressToken": call.id}}
        body = {"jsonrpc": "2.0", "id": call.id, "method": call.method, "params": params}
        self._calls[call.id] = call
        call.sent = True
        message = Outgoing(_encoder.encode(body), call.method, call.id, self.version, headers or {})
        try:
            await self.channel.send(message)
        except Lost as lost:
            self._calls.pop(call.id, None)
            call.sent = lost.sent
            raise
        except asyncio.CancelledError:
            self.cancel(call, "the caller has cancelled")
            raise

    async def request(self, method: str, params: Mapping[str, Any], timeout_s: float, **options: Any) -> Raw:
        """Send a request and wait for its result.

        Raises:
            ProtocolError: it ended in a JSON-RPC error.
            Lost: the foreign server is gone.
            TimeoutError: it did not answer in time.
        """
        call = self.prepare(method)
        try:
            async with asyncio.timeout(timeout_s):
                await self.send(call, params, **options)
                outcome = await call.next()
        except (TimeoutError, asyncio.CancelledError):
            if method not in ("initialize", "server/discover"):  # neither may be cancelled
                self.cancel(call, "nobody waits any more")
            self._calls.pop(call.id, None)
            raise
        assert isinstance(outcome, Raw)
        return outcome

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification.

        Raises:
            Lost: it could not be sent.
        """
        body: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            body["params"] = params
        await self.channel.send(Outgoing(_encoder.encode(body), method, None, self.version))

    def answer(self, ask: Ask, result: Any) -> None:
        """Answer what the foreign server has asked."""
        self._reply({"jsonrpc": "2.0", "id": ask.id, "result": result})

    def refuse(self, ask: Ask, code: int, message: str) -> None:
        """Answer what the foreign server has asked with an error."""
        self._reply({"jsonrpc": "2.0", "id": ask.id, "error": {"code": code, "message": message}})

    def cancel(self, call: ForeignCall, reason: str) -> None:
        """Tell the foreign server that nobody waits for `call` any more."""
        if self._calls.pop(call.id, None) is None:
            return
        call.end(ProtocolError(codes.INTERNAL_ERROR, reason, {"reason": "cancelled"}))
        if self._reading is not None and not self._reading.done():
            self._tasks.start(self._send_cancel(call.id, reason), name="cancel")

    async def _send_cancel(self, call: int, reason: str) -> None:
        try:
            async with asyncio.timeout(_CANCEL_TIMEOUT_S):
                await self.notify("notifications/cancelled", {"requestId": call, "reason": reason})
        except (Lost, TimeoutError) as error:
            event(_log, "foreign.cancel_failed", logging.DEBUG, server=self.name, reason=str(error))

    def _reply(self, body: dict[str, Any]) -> None:
        if self._reading is not None and not self._reading.done():
            self._tasks.start(self._send_reply(_encoder.encode(body)), name="reply")

    async def _send_reply(self, data: bytes) -> None:
        try:
            await self.channel.send(Outgoing(data, version=self.version))
        except Lost as lost:
            event(_log, "foreign.reply_failed", logging.DEBUG, server=self.name, reason=str(lost))

    async def _read(self) -> Lost:
        while True:
            try:
                arrived = await self.channel.receive()
            except Lost as lost:
                self._lose(lost)
                return lost
            except Exception as error:  # noqa: BLE001 - whatever breaks a channel is its end
                broken = Lost(f"its channel broke: {type(error).__name__}: {error}", sent=True)
                self._lose(broken)
                return broken
            try:
                self._take(decode_message(arrived.data), arrived)
            except (ValueError, RecursionError) as error:  # a line that a library has printed, say
                event(_log, "foreign.unreadable", logging.WARNING, server=self.name, reason=str(error))
                self._end_unread(arrived.data)
            except Exception:  # noqa: BLE001 - one message must not end the reading of all others
                _log.exception("foreign.message_failed", extra={"event_fields": {"server": self.name}})

    def _take(self, message: Message, arrived: Arrived) -> None:
        if message.method is UNSET:
            self._end(message, arrived.lost)
            return
        call = self._calls.get(arrived.origin) if arrived.origin is not None else None
        if message.id is not UNSET and message.id is not None:
            self._listener.asked(Ask(message.id, message.method, message.params), call)
            return
        if message.method == "notifications/progress":
            call = self._whose_progress(message.params)
        self._listener.told(message.method, message.params, call)

    def _whose_progress(self, params: Params) -> ForeignCall | None:
        try:
            token = msgspec.json.decode(params.get("progressToken", b"null"), type=int | str)
            return self._calls.get(own_id(token))
        except msgspec.ValidationError:
            return None

    def _end_unread(self, data: bytes) -> None:
        """End the call whose answer cannot be read, if it can be seen which that is."""
        head, problem = _head_of(data)
        if head is None or head.method is not UNSET:
            return
        call = self._calls.pop(own_id(head.id), None)
        if call is not None:
            call.end(ProtocolError(codes.INTERNAL_ERROR, problem))

    def _end(self, message: Message, lost: Lost | None) -> None:
        if message.id is UNSET or message.id is None:
            return
        call = self._calls.pop(own_id(message.id), None)
        if call is None:  # it was cancelled meanwhile
            return
        if lost is not None:
            call.end(lost)
        elif message.error is not UNSET:
            error = message.error
            call.end(ProtocolError(error.code, error.message, None if error.data is UNSET else error.data))
        elif message.result is not UNSET:
            call.end(message.result)
        else:
            call.end(ProtocolError(codes.INTERNAL_ERROR, "the server sent an answer that holds none"))

    def _lose(self, lost: Lost) -> None:
        for call in self._calls.values():
            call.end(Lost(str(lost), sent=call.sent, hopeless=lost.hopeless))
        self._calls.clear()


_ID = rb'"id"\s*:\s*(?P<id>-?[0-9]{1,18}|"[0-9]{1,18}")\s*'
_VERSION = rb'(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?'
_ANSWER_BEGINS = re.compile(rb"\s*\{\s*" + _VERSION + _ID + rb',\s*"(?:result|error)"\s*:')
_ANSWER_ENDS = re.compile(
    rb"\A\s*\{\s*" + _VERSION + rb'"(?:result|error)"\s*:(?s:.*),\s*' + _ID
    + rb'(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z'
)  # fmt: skip
"""Where servers write the id of an answer: before its result or error, or last of all. This is for answers
that no parser takes (nested deeper than one goes, or cut off), which would else leave their calls to wait."""


def _head_of(data: bytes) -> tuple[Head | None, str]:
    """Read which request is answered by what cannot be read whole, and what is wrong with it.

    Python's own parser lets NaN and the infinities in, as the servers that write them do.
    """
    try:
        return decode_head(data), "the server sent an answer that cannot be read"
    except (ValueError, RecursionError):
        pass
    try:
        body = json.loads(data)
        head = msgspec.convert({key: body[key] for key in ("id", "method") if key in body}, Head)
    except (ValueError, TypeError, RecursionError):
        seen = _ANSWER_BEGINS.match(data)
        if seen is None and data.count(b"{") == data.count(b"}"):  # else it may be cut off within its result
            seen = _ANSWER_ENDS.match(data)
        if seen is None:
            return None, ""
        own = msgspec.json.decode(seen["id"], type=RequestId)
        return Head(own), "the server sent an answer that cannot be read"
    try:
        check_finite(body)
    except NotFinite as error:
        return head, f"{NOT_JSON}: {error}"
    return head, NOT_JSON
