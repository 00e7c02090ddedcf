"""A broker, a node in the test's own process, and gateways as processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest
from tests.support.broker import Broker
from tests.support.gateways import GatewayProcess, encode, headers_for, message

from longreach import Context, NatsOptions, Node, NodeSettings, Server

StartGateway = Callable[..., Awaitable[GatewayProcess]]


class Docs:
    """A server, and what its handlers saw."""

    def __init__(self) -> None:
        self.server = docs = Server("docs", version="1.4.0")
        self.callers: list[str | None] = []
        self.running = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.release = asyncio.Event()

        @docs.tool(read_only=True)
        async def echo(text: str, ctx: Context) -> str:
            self.callers.append(f"{ctx.via}.{ctx.caller}")
            return text

        @docs.tool
        async def count(to: int, ctx: Context) -> str:
            for number in range(1, to + 1):
                await ctx.progress(number, to)
            return "counted"

        @docs.tool
        async def wait(ctx: Context) -> str:
            await ctx.progress(1)
            self.running.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return "released"


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


@pytest.fixture
async def docs(broker: Broker) -> AsyncIterator[Docs]:
    made = Docs()
    async with Node(made.server, settings=NodeSettings(connection=NatsOptions(urls=(broker.url,)))):
        yield made


@pytest.fixture
def start_gateway(broker: Broker, docs: Docs) -> Iterator[StartGateway]:
    started: list[GatewayProcess] = []

    async def start(*flags: str) -> GatewayProcess:
        # In a thread: the node, which answers the gateway's questions, runs on this event loop.
        started.append(await asyncio.to_thread(GatewayProcess, broker.url, *flags))
        return started[-1]

    yield start
    for gateway in started:
        gateway.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=20) as client:
        yield client


async def ask(
    http: httpx2.AsyncClient, url: str, method: str, params: dict[str, Any] | None = None, **headers: str
) -> httpx2.Response:
    body = message(method, params)
    return await http.post(url, content=encode(body), headers=headers_for(body, **headers))
