"""Lines in and out of descriptors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from tests.support.links import eventually

from longreach_gateway.stdio.lines import Input, Output, TooLong


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


async def read(descriptor: int, max_line: int = 1000) -> list[bytes | str]:
    async with asyncio.timeout(30):
        lines = Input(descriptor, max_line).lines()
        return ["too long" if isinstance(line, TooLong) else line async for line in lines]


async def test_lines_come_without_their_ends_and_the_last_one_needs_none(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"one\n\n  \r\ntwo\r\n" + "drei ü".encode())
    os.close(pipe[1])
    assert await read(pipe[0]) == [b"one", b"two", "drei ü".encode()]


@pytest.mark.parametrize("size", [9, 70_000, 200_000])
async def test_a_line_that_is_too_long_is_skipped_and_told_of(pipe: tuple[int, int], size: int) -> None:
    reading = asyncio.get_running_loop().create_task(read(pipe[0], 8))
    data = b"x" * size + b"\nafter\n"
    await asyncio.to_thread(os.write, pipe[1], data)
    os.close(pipe[1])
    assert await reading == ["too long", b"after"]


async def test_a_line_of_exactly_the_limit_is_taken(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"12345678\n")
    os.close(pipe[1])
    assert await read(pipe[0], 8) == [b"12345678"]


async def test_messages_go_out_in_order_each_on_one_line(pipe: tuple[int, int]) -> None:
    output = Output(pipe[1], lambda: None)
    output.put(b'{\n  "a": 1\r\n}')
    await output.write(b"2")
    await output.close(5)
    assert os.read(pipe[0], 1000) == b'{   "a": 1  }\n2\n'


async def test_a_host_that_does_not_read_holds_answers_up_and_loses_notes(pipe: tuple[int, int]) -> None:
    output = Output(pipe[1], lambda: None, max_pending=200_000)
    await output.write(b"x" * 300_000)
    output.put(b"note")
    assert output.dropped == 1
    waiting = asyncio.get_running_loop().create_task(output.write(b"answer"))
    got = b""
    while not got.endswith(b"answer\n"):
        got += await asyncio.to_thread(os.read, pipe[0], 65536)
    await waiting
    assert len(got) == 300_000 + 1 + 7


async def test_a_host_that_is_gone_is_noticed(pipe: tuple[int, int]) -> None:
    gone = []
    output = Output(pipe[1], lambda: gone.append(1))
    os.close(pipe[0])
    output.put(b"x")
    output.put(b"y")
    await eventually(lambda: gone)
    await output.close(5)
    assert gone == [1]
