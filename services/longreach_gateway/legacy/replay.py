"""What was sent is kept for a while, so that a client whose stream broke hears the rest on a new one.

Bounded twice: so many messages for each session, and so many bytes for the whole gateway, the oldest going
first. An event's id names its stream, so that a stream can be taken up again even where its older messages
are gone.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections import OrderedDict
from typing import NamedTuple

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse, jsonrpc_message_adapter

_TAIL = 256
"""Messages that wait for one resumed stream. One more, and it ends: its client resumes again."""
_STREAMS = 1024
"""Streams of a session that are known, the newest; another one is not taken up again."""


class _Kept(NamedTuple):
    stream: str
    number: int
    data: bytes


class Store:
    """The kept messages of all sessions of a gateway.

    Args:
        max_bytes: of them together.
        max_events: of one session.
    """

    def __init__(self, max_bytes: int, max_events: int) -> None:
        self.size = 0
        self.max_events = max_events
        self._max_bytes = max_bytes
        self._owners: OrderedDict[tuple[int, int], Replay] = OrderedDict()
        self._next_key = itertools.count()

    def open(self) -> Replay:
        """The part of one session."""
        return Replay(self, next(self._next_key))

    def added(self, replay: Replay, number: int, size: int) -> None:
        """`replay` has kept one more: make room where there is too much."""
        self._owners[replay.key, number] = replay
        self.size += size
        while self.size > self._max_bytes:
            (_, oldest), owner = next(iter(self._owners.items()))
            owner.drop(oldest)

    def removed(self, replay: Replay, number: int, size: int) -> None:
        """`replay` has dropped one."""
        del self._owners[replay.key, number]
        self.size -= size


class Replay(EventStore):
    """The kept messages of one session; made by `Store.open`."""

    def __init__(self, store: Store, key: int) -> None:
        self.key = key
        self._store = store
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._numbers = itertools.count(1)
        self._tails: dict[str, set[asyncio.Queue[EventMessage | None]]] = {}
        self._finished: OrderedDict[str, bool] = OrderedDict()
        self._closed = False

    def __bool__(self) -> bool:
        """True, though it may be empty: the SDK asks so whether there is a store."""
        return True

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep `message` (None: the stream begins) and give it an id."""
        number = next(self._numbers)
        event_id = f"{number}.{_encode(stream_id)}"
        self._know(stream_id, finished=message is not None and _is_last(message))
        if message is None or self._closed:
            return event_id
        data = jsonrpc_message_adapter.dump_json(message, by_alias=True, exclude_unset=True)
        self._kept[number] = _Kept(stream_id, number, data)
        self._store.added(self, number, len(data))
        if len(self._kept) > self._store.max_events:
            self.drop(next(iter(self._kept)))
        for tail in tuple(self._tails.get(stream_id, ())):
            if tail.full():
                tail.get_nowait()  # the end takes its place: what is lost is kept, and asked for again
                tail.put_nowait(None)
            else:
                tail.put_nowait(EventMessage(message, event_id))
        return event_id

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> None:
        """Send what came after `last_event_id` on its stream, and then what comes, until the stream ends.

        The SDK would take the stream over from here, but what is sent between the replay and that would be
        lost. So nothing is left to it: None says that there is no stream to go on with.
        """
        number, stream_id = _parse(last_event_id)
        if stream_id not in self._finished or self._closed:
            return
        tail: asyncio.Queue[EventMessage | None] = asyncio.Queue(_TAIL)
        self._tails.setdefault(stream_id, set()).add(tail)
        try:
            missed = [
                kept for kept in self._kept.values() if kept.stream == stream_id and kept.number > number
            ]
            for kept in missed:
                message = jsonrpc_message_adapter.validate_json(kept.data)
                await send_callback(EventMessage(message, f"{kept.number}.{_encode(stream_id)}"))
                if _is_last(message):
                    return
            if self._finished.get(stream_id, True) and tail.empty():
                return
            while (event := await tail.get()) is not None:
                await send_callback(event)
                if _is_last(event.message):
                    return
        finally:
            tails = self._tails.get(stream_id, set())
            tails.discard(tail)
            if not tails:
                self._tails.pop(stream_id, None)

    def _know(self, stream_id: str, *, finished: bool) -> None:
        self._finished[stream_id] = finished
        self._finished.move_to_end(stream_id)
        if len(self._finished) > _STREAMS:
            self._finished.popitem(last=False)

    def drop(self, number: int) -> None:
        """Keep that message no longer."""
        kept = self._kept.pop(number)
        self._store.removed(self, number, len(kept.data))

    def close(self) -> None:
        """Keep nothing any more, and end the streams that go on here."""
        self._closed = True
        for number in tuple(self._kept):
            self.drop(number)
        for tails in self._tails.values():
            for tail in tails:
                while tail.full():
                    tail.get_nowait()
                tail.put_nowait(None)


def _is_last(message: JSONRPCMessage) -> bool:
    """A request's stream ends with its response."""
    return isinstance(message, JSONRPCResponse | JSONRPCError)


def _encode(stream_id: str) -> str:
    """A stream's id is the client's request id: any text, which must not end an SSE line."""
    return base64.urlsafe_b64encode(stream_id.encode(errors="replace")).decode().rstrip("=")


def _parse(event_id: str) -> tuple[int, str]:
    """Number and stream of an event; of what is none, a stream that nobody knows."""
    number, dot, encoded = event_id.partition(".")
    if not (dot and number.isdecimal() and number.isascii() and len(number) < 20):
        return 0, ""
    try:
        return int(number), base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return 0, ""
