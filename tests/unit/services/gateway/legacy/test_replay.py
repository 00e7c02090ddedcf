"""What was sent is kept for a while, and sent again to whoever missed it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp.server.streamable_http import EventMessage
from mcp_types import JSONRPCNotification, JSONRPCResponse
from tests.support.links import eventually

from longreach_gateway.legacy.replay import Replay, Store


def note(text: str) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="n", params={"text": text})


def response(text: str) -> JSONRPCResponse:
    return JSONRPCResponse(jsonrpc="2.0", id="r", result={"text": text})


class Resumed:
    """A stream that was taken up again."""

    def __init__(self, replay: Replay, event_id: str) -> None:
        self.events: list[EventMessage] = []
        self.task = asyncio.get_running_loop().create_task(replay.replay_events_after(event_id, self._send))

    async def _send(self, event: EventMessage) -> None:
        self.events.append(event)

    @property
    def texts(self) -> list[Any]:
        return [
            (getattr(each.message, "params", None) or getattr(each.message, "result", None))["text"]
            for each in self.events
        ]

    async def end(self) -> None:
        async with asyncio.timeout(30):
            await self.task


async def test_what_came_after_is_sent_and_then_what_comes() -> None:
    replay = Store(10_000, 100).open()
    first = await replay.store_event("s", None)
    await replay.store_event("other", note("not this"))
    await replay.store_event("s", note("a"))
    resumed = Resumed(replay, first)
    await eventually(lambda: resumed.texts == ["a"])
    await replay.store_event("s", note("b"))
    await replay.store_event("other", note("nor this"))
    await replay.store_event("s", response("c"))
    await resumed.end()
    assert resumed.texts == ["a", "b", "c"]
    again = Resumed(replay, resumed.events[0].event_id or "")
    await again.end()
    assert again.texts == ["b", "c"]


async def test_a_stream_that_has_ended_and_whose_messages_are_gone_ends_at_once() -> None:
    replay = Store(10_000, 1).open()
    event_id = await replay.store_event("s", response("c"))
    await replay.store_event("other", note("x"))
    resumed = Resumed(replay, event_id)
    await resumed.end()
    assert resumed.events == []


@pytest.mark.parametrize(
    "event_id", ["", "1", "x.y", "1.?", "99999999999999999999999.YQ", "1.\n", "-1.YQ", "1.YQ"]
)
async def test_an_id_that_is_none_resumes_nothing(event_id: str) -> None:
    replay = Store(100, 1).open()
    await replay.store_event("s", None)
    resumed = Resumed(replay, event_id)
    await resumed.end()
    assert resumed.events == []


async def test_ids_are_one_word_whatever_the_request_is_called() -> None:
    replay = Store(1000, 10).open()
    event_id = await replay.store_event("line\nbreak\r ü", note("a"))
    assert event_id.isascii()
    assert not set(event_id) & set("\r\n ")
    await replay.store_event("line\nbreak\r ü", response("b"))
    resumed = Resumed(replay, event_id)
    await resumed.end()
    assert resumed.texts == ["b"]


async def test_bytes_are_bounded_for_all_sessions_and_events_for_each() -> None:
    store = Store(max_bytes=1000, max_events=5)
    one, two = store.open(), store.open()
    for number in range(20):
        await one.store_event("s", note(str(number)))
    assert len(one._kept) == 5
    held = store.size
    await two.store_event("s", note("x" * (1000 - held + 10)))
    assert store.size <= 1000
    assert len(one._kept) < 5
    await two.store_event("s", note("y" * 5000))
    assert store.size <= 1000
    one.close()
    two.close()
    assert store.size == 0
    assert not store._owners


async def test_a_resumed_stream_that_is_not_read_ends() -> None:
    replay = Store(10_000_000, 10_000).open()
    first = await replay.store_event("s", None)
    free = asyncio.Event()
    sent = 0

    async def slow(event: EventMessage) -> None:
        nonlocal sent
        await free.wait()
        sent += 1

    task = asyncio.get_running_loop().create_task(replay.replay_events_after(first, slow))
    await asyncio.sleep(0)
    for number in range(600):
        await replay.store_event("s", note(str(number)))
    free.set()
    async with asyncio.timeout(30):
        await task
    assert sent < 600


async def test_a_session_that_ends_ends_its_resumed_streams() -> None:
    replay = Store(10_000, 10).open()
    resumed = Resumed(replay, await replay.store_event("s", None))
    await asyncio.sleep(0)
    replay.close()
    await resumed.end()
    assert replay._tails == {}
