"""The faulty link, byte by byte, between two ends that echo."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.timing import allowed

from longreach.testing import Proxy
from longreach.testing.proxy import Direction


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


class End:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, data: bytes, timeout_s: float = 5) -> float:
        """Send, and wait for the echo; how long that took."""
        began = time.monotonic()
        self.writer.write(data)
        async with asyncio.timeout(timeout_s):
            assert await self.reader.readexactly(len(data)) == data
        return time.monotonic() - began


@asynccontextmanager
async def end_of(proxy: Proxy) -> AsyncIterator[End]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield End(reader, writer)
    finally:
        writer.transport.abort()


async def test_what_is_sent_comes_back_and_the_tap_hears_both_ways():
    heard: list[tuple[Direction, bytes]] = []
    async with (
        echo() as target,
        Proxy(target, tap=lambda way, data: heard.append((way, data))) as proxy,
        end_of(proxy) as end,
    ):
        await end.ask(b"hello")
        assert proxy.connections == 1
    assert heard == [("up", b"hello"), ("down", b"hello")]


async def test_a_cut_holds_what_is_sent_and_tells_nobody():
    async with echo() as target, Proxy(target) as proxy, end_of(proxy) as end:
        await end.ask(b"before")
        proxy.cut()
        with pytest.raises(TimeoutError):
            await end.ask(b"during", 0.2)
        assert not end.reader.at_eof()
        proxy.heal()
        async with asyncio.timeout(30):
            assert await end.reader.readexactly(6) == b"during"


async def test_a_cut_of_one_way_lets_the_other_through():
    heard: list[Direction] = []
    async with (
        echo() as target,
        Proxy(target, tap=lambda way, _: heard.append(way)) as proxy,
        end_of(proxy) as end,
    ):
        proxy.cut("down")
        with pytest.raises(TimeoutError):
            await end.ask(b"there", 0.2)
        assert heard == ["up"]


async def test_a_closing_cut_resets_and_refuses():
    async with echo() as target, Proxy(target) as proxy, end_of(proxy) as end:
        await end.ask(b"before")
        proxy.cut(closing=True)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await end.ask(b"during")
        async with end_of(proxy) as late:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await late.ask(b"late")
        proxy.heal()
        async with end_of(proxy) as later:
            await later.ask(b"after")


@pytest.mark.timed
async def test_a_delay_takes_time_and_not_throughput():
    async with echo() as target, Proxy(target) as proxy, end_of(proxy) as end:
        proxy.delay(0.1)
        assert 0.2 <= await end.ask(b"one") < allowed(1.0)
        began = time.monotonic()
        for _ in range(20):
            end.writer.write(b"x" * 100)
            await end.writer.drain()
        async with asyncio.timeout(30):
            await end.reader.readexactly(2000)
        assert time.monotonic() - began < allowed(1.0)


@pytest.mark.timed
async def test_a_slow_link_lets_so_much_through_and_no_more():
    async with echo() as target, Proxy(target) as proxy, end_of(proxy) as end:
        proxy.slow(100_000, "up")
        assert 0.2 <= await end.ask(b"x" * 30_000) < allowed(2.0)


@pytest.mark.timed
async def test_what_is_lost_comes_again():
    async with echo() as target, Proxy(target) as proxy, end_of(proxy) as end:
        proxy.drop(0.5)
        for _ in range(20):
            if await end.ask(b"word", 30) >= 0.2:
                break
        else:
            raise AssertionError("nothing was lost")
        proxy.heal()
        assert await end.ask(b"word") < allowed(0.2)


async def test_a_half_closed_connection_is_half_closed_on_the_other_side():
    async with echo() as target, Proxy(target) as proxy, end_of(proxy) as end:
        await end.ask(b"word")
        end.writer.write_eof()
        async with asyncio.timeout(30):
            assert await end.reader.read() == b""


async def test_nobody_behind_it_is_a_reset():
    async with Proxy("127.0.0.1:1") as proxy, end_of(proxy) as end:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await end.ask(b"word")


async def test_connections_are_forgotten():
    async with echo() as target, Proxy(target) as proxy:
        for _ in range(5):
            async with end_of(proxy) as end:
                await end.ask(b"word")
        async with asyncio.timeout(30):
            while proxy.connections:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:{}"),
        ("nats://user:pass@127.0.0.1:4222", "nats://user:pass@127.0.0.1:{}"),
        ("localhost:80", "127.0.0.1:{}"),
        ("nats-leaf://localhost", "nats-leaf://127.0.0.1:{}"),
    ],
)
def test_its_url_is_the_targets(target: str, url: str):
    proxy = Proxy(target)
    assert proxy.url == url.format(proxy.port)


@pytest.mark.parametrize("target", ["", "nats://"])
def test_a_target_that_is_none_is_refused(target: str):
    with pytest.raises(ValueError, match="host:port or a URL"):
        Proxy(target)


def test_shares_and_rates_are_checked():
    proxy = Proxy("127.0.0.1:1")
    with pytest.raises(ValueError, match="from 0 to 1"):
        proxy.drop(2)
    with pytest.raises(ValueError, match="to let nothing through, cut"):
        proxy.slow(0)
