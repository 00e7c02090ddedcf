"""Connections, without sockets: what comes before a request is whole has bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from longreach_gateway.protocol import MAX_HEAD_BYTES, BoundedProtocol, sweep


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = False

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


async def hold(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.Event().wait()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Connection:
    def __init__(self, app: Any = answer) -> None:
        config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none")
        self.protocol = BoundedProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        self.wire = Wire()
        self.protocol.connection_made(self.wire)

    async def feed(self, data: bytes) -> None:
        self.protocol.data_received(data)
        for _ in range(5):
            await asyncio.sleep(0)

    def close(self) -> None:
        self.protocol.connection_lost(None)


@pytest.fixture
async def connection() -> Any:
    made = Connection()
    yield made
    made.close()


REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"


async def test_requests_are_answered_one_after_the_other(connection: Connection):
    for _ in range(3):
        await connection.feed(REQUEST[:20])
        await connection.feed(REQUEST[20:])

    assert connection.wire.written.count(b"200 OK") == 3
    assert not connection.wire.closed


async def test_a_head_that_is_too_large_ends_the_connection(connection: Connection):
    await connection.feed(b"POST / HTTP/1.1\r\n")
    for number in range(MAX_HEAD_BYTES // 1000 + 1):
        await connection.feed(b"x-%d: %s\r\n" % (number, b"y" * 990))

    assert connection.wire.written.startswith(b"HTTP/1.1 431 ")
    assert connection.wire.closed


async def test_bodies_do_not_count_as_heads(connection: Connection):
    await connection.feed(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n")
    for _ in range(200):
        await connection.feed(b"x" * 1000)

    assert b"200 OK" in connection.wire.written


@pytest.mark.parametrize("begun", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nhost: x\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(connection: Connection, begun: bytes):
    if begun:
        await connection.feed(begun)

    assert [sweep([connection.protocol], 2) for _ in range(3)] == [0, 0, 1]
    assert connection.wire.closed


async def test_a_second_head_that_does_not_come_ends_the_connection_too(connection: Connection):
    await connection.feed(REQUEST)
    assert [sweep([connection.protocol], 1) for _ in range(9)] == [0] * 9  # it rests: uvicorn's time runs
    await connection.feed(b"POST")

    assert [sweep([connection.protocol], 1) for _ in range(2)] == [0, 1]


async def test_a_body_that_is_on_its_way_is_left_to_the_overseer(connection: Connection):
    await connection.feed(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na")

    assert [sweep([connection.protocol], 1) for _ in range(9)] == [0] * 9


async def test_a_connection_that_is_reset_leaves_no_timer(connection: Connection):
    await connection.feed(REQUEST)
    timer = connection.protocol.timeout_keep_alive_task
    assert timer is not None

    connection.protocol.connection_lost(ConnectionResetError())

    assert timer.cancelled()


async def test_answers_to_head_have_no_body_and_do_not_wait(connection: Connection):
    await connection.feed(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")

    assert connection.wire.written.count(b"200 OK") == 1


async def test_the_head_of_a_stream_does_not_wait_for_its_first_event():
    made = Connection(hold)
    await made.feed(REQUEST)

    assert b"200 OK" in made.wire.written
    made.close()
    for task in made.protocol.tasks:
        task.cancel()


async def test_a_connection_whose_client_does_not_take_the_last_bytes_is_cut(connection: Connection):
    await connection.feed(REQUEST)
    connection.protocol.transport.close()

    assert [sweep([connection.protocol], 2) for _ in range(3)] == [0, 0, 0]
    assert connection.wire.aborted
