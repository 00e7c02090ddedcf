"""Exchanges that take their time: streams, disconnects, slow bodies, limits, draining."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.asgi import World
from tests.support.gateways import encode, events, headers_for, message

from longreach.front.endings import OUTCOME_UNKNOWN, UNAVAILABLE, Answer
from longreach.wire.incoming import Incoming
from longreach_gateway import sse

CALL = message("tools/call", {"name": "slow", "arguments": {}}, 7)
LISTEN = message("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, "l1")
RESULT = b'{"jsonrpc":"2.0","id":7,"result":{}}'


def until(event: asyncio.Event, *notes: bytes) -> Any:
    """A handler that sends notes, then waits."""

    async def wait(request: Incoming, on_note: Any) -> Answer:
        for note in notes:
            on_note(note)
        await event.wait()
        return Answer(RESULT, None)

    return wait


async def eventually(is_so: Any) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_notifications_make_the_answer_a_stream(world: World):
    done = asyncio.Event()
    world.front.handler = until(done, b'{"n":1}', b'{"n":2}')
    client = world.start(encode(CALL), headers_for(CALL))

    early = await client.until(b'{"n":2}')
    assert (early.status, early.headers["content-type"]) == (200, "text/event-stream")
    assert (early.headers["x-accel-buffering"], "content-length" in early.headers) == ("no", False)
    done.set()
    reply = await client.end()

    assert events(reply.body.decode()) == [{"n": 1}, {"n": 2}, {"jsonrpc": "2.0", "id": 7, "result": {}}]
    assert reply.ended


async def test_notifications_right_before_the_answer_keep_their_order(world: World):
    def handle(_: Incoming, on_note: Any) -> Answer:
        for number in range(5):
            on_note(b'{"n":%d}' % number)
        return Answer(b'{"code":-32601}', -32601)

    world.front.handler = handle
    reply = await world.ask(encode(CALL), headers_for(CALL))

    assert reply.status == 200
    assert events(reply.body.decode()) == [*({"n": number} for number in range(5)), {"code": -32601}]


async def test_silence_becomes_a_stream_with_comments(make_world: Any):
    done, world = asyncio.Event(), make_world(quiet_s=0.05)
    world.front.handler = until(done)
    client = world.start(encode(CALL), headers_for(CALL))

    early = await client.until(b":\r\n\r\n:\r\n\r\n")
    assert early.headers["content-type"] == "text/event-stream"
    done.set()
    assert events((await client.end()).body.decode()) == [{"jsonrpc": "2.0", "id": 7, "result": {}}]


@pytest.mark.parametrize("notes", [(), (b"{}",)])
async def test_a_client_that_goes_away_cancels_its_call(world: World, notes: tuple[bytes, ...]):
    world.front.handler = until(asyncio.Event(), *notes)
    client = world.start(encode(CALL), headers_for(CALL))
    await world.front.started.wait()

    client.disconnect()
    reply = await client.end()

    assert world.front.cancelled.is_set()
    assert b"result" not in reply.body
    assert not world.overseer.running


async def test_a_client_that_goes_away_before_its_body_is_whole_is_forgotten(world: World):
    client = world.start(None, headers_for(CALL))
    client.feed(b"{", more=True)
    client.disconnect()

    assert (await client.end()).status == 0
    assert not world.overseer.running


async def test_cancelling_from_outside_is_not_swallowed(world: World):
    world.front.handler = until(asyncio.Event())
    client = world.start(encode(CALL), headers_for(CALL))
    await world.front.started.wait()
    assert client._task is not None

    client._task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await client.end()
    assert world.front.cancelled.is_set()


async def test_a_body_that_does_not_come_is_given_up(make_world: Any):
    world = make_world(body_timeout_s=0.1)
    client = world.start(None, headers_for(CALL))
    client.feed(b"{", more=True)

    reply = await client.end()

    assert (reply.status, reply.headers["connection"]) == (408, "close")


async def test_a_subscription_is_a_stream_that_begins_at_once_and_ends_with_its_response(world: World):
    client = world.start(encode(LISTEN), headers_for(LISTEN))
    world.front.messages.put_nowait(b'{"ack":1}')
    reply = await client.until(b"ack")
    assert reply.headers["content-type"] == "text/event-stream"
    assert (len(world.overseer.running), len(world.overseer.listening)) == (0, 1)

    world.front.messages.put_nowait(b'{"result":1}')
    world.doors.close()
    reply = await client.end()

    assert events(reply.body.decode()) == [{"ack": 1}, {"result": 1}]
    assert not world.overseer.listening


async def test_a_subscriber_that_goes_away_leaves_nothing_behind(world: World):
    client = world.start(encode(LISTEN), headers_for(LISTEN))
    await world.front.started.wait()

    client.disconnect()
    await client.end()

    assert world.front.cancelled.is_set()
    assert not world.overseer.listening
    await eventually(lambda: not len(world.overseer.tasks))


async def test_a_quiet_subscription_is_kept_alive(make_world: Any):
    world = make_world(quiet_s=0.05)
    client = world.start(encode(LISTEN), headers_for(LISTEN))

    await client.until(b":\r\n\r\n:\r\n\r\n")
    client.disconnect()
    await client.end()


async def test_a_client_that_does_not_read_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "STALLED_AFTER_S", 0.05)
    world.front.handler = until(asyncio.Event(), b"{}")
    client = world.start(None, headers_for(CALL))
    client.may_send.clear()
    client.feed(encode(CALL), more=False)

    await client.end()

    assert world.front.cancelled.is_set()


async def test_notifications_that_nobody_reads_are_bounded(world: World):
    done = asyncio.Event()
    world.front.handler = until(done, *(b'{"n":%d}' % number for number in range(2000)))
    client = world.start(None, headers_for(CALL))
    client.may_send.clear()
    client.feed(encode(CALL), more=False)
    await world.front.started.wait()
    done.set()
    client.may_send.set()

    found = events((await client.end()).body.decode())

    assert len(found) <= sse.MAX_WAITING + 2
    assert (found[-2], found[-1]["id"]) == ({"n": 1999}, 7)


async def test_large_notifications_that_nobody_reads_are_bounded_by_their_size(world: World):
    done = asyncio.Event()
    world.front.handler = until(
        done, *(b'{"n":%d,"x":"%s"}' % (number, b"x" * 400_000) for number in range(9))
    )
    client = world.start(None, headers_for(CALL))
    client.may_send.clear()
    client.feed(encode(CALL), more=False)
    await world.front.started.wait()
    done.set()
    client.may_send.set()

    found = events((await client.end()).body.decode())

    assert len(found) <= 4
    assert found[-2]["n"] == 8


async def test_one_request_too_many_is_refused_with_the_time_to_ask_again(make_world: Any):
    done, world = asyncio.Event(), make_world(most=2)
    world.front.handler = until(done)
    clients = [world.start(encode(CALL), headers_for(CALL)) for _ in range(2)]
    await eventually(lambda: len(world.front.asked) == 2)

    reply = await world.ask(encode(CALL), headers_for(CALL))
    done.set()

    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, UNAVAILABLE, "1")
    assert [(await client.end()).status for client in clients] == [200, 200]
    assert (await world.ask(encode(CALL), headers_for(CALL))).status == 200


async def test_subscriptions_have_a_limit_of_their_own(make_world: Any):
    world = make_world(subscriptions=2, most=1)
    clients = []
    for number in (1, 2):
        clients.append(world.start(encode(LISTEN), headers_for(LISTEN)))
        await eventually(lambda n=number: len(world.overseer.listening) == n)

    reply = await world.ask(encode(LISTEN), headers_for(LISTEN))

    assert (reply.status, reply.code, reply.json["id"]) == (503, UNAVAILABLE, "l1")
    for client in clients:
        client.disconnect()
        await client.end()


async def test_draining_lets_calls_end_and_cuts_off_what_does_not(make_world: Any):
    world, done = make_world(), asyncio.Event()
    world.front.handler = until(done)
    quick = world.start(encode(CALL), headers_for(CALL))
    await eventually(lambda: len(world.front.asked) == 1)
    world.front.handler = until(asyncio.Event())
    stuck = world.start(encode(CALL), headers_for(CALL))
    await eventually(lambda: len(world.front.asked) == 2)

    async with asyncio.TaskGroup() as group:
        group.create_task(world.overseer.close(0.6))
        done.set()
        assert (await quick.end()).status == 200
        reply = await stuck.end()

    assert (reply.status, reply.code) == (503, OUTCOME_UNKNOWN)
    assert reply.json["error"]["data"] == {"delivered": "unknown"}
    assert not world.overseer.running


async def test_a_result_of_several_lines_is_one_event(world: World):
    def handle(_: Incoming, on_note: Any) -> Answer:
        on_note(b'{"a":\n1}')
        return Answer(b'{\r\n"id": 7}', None)

    world.front.handler = handle
    reply = await world.ask(encode(CALL), headers_for(CALL))

    assert (
        reply.body == b'event: message\ndata: {"a":\ndata: 1}\n\nevent: message\ndata: {\ndata: "id": 7}\n\n'
    )
