"""Definitions beyond the broker's max_payload, over a real broker. Binding: M8.5."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from tests.support.commands import Desk

from longreach import NatsOptions, Node, NodeSettings, Server, connect
from longreach.front import Front
from longreach.testing import Broker
from longreach.wire.incoming import decode_incoming

_CASES = [(65_536, 90_000), (65_536, 1_800_000), (1_048_576, 1_800_000)]
_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def server(size: int) -> Server:
    docs = Server("docs", version="1.0.0")
    for name in ("a", "b", "large", "z"):

        async def handler(text: str = "") -> str:
            return text

        docs.add_tool(handler, name=name, description="x" * (size if name == "large" else 9))
    return docs


def request(method: str, **params: object) -> bytes:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": _META}}
    return msgspec.json.encode(body)


async def listed(ask: Callable[[bytes], Awaitable[bytes]]) -> list[int]:
    """Return how long the descriptions of all pages are."""
    sizes: list[int] = []
    more: dict[str, object] = {}
    while True:
        page = json.loads(await ask(request("tools/list", **more)))["result"]
        sizes += [len(tool["description"]) for tool in page["tools"]]
        if "nextCursor" not in page:
            return sizes
        more = {"cursor": page["nextCursor"]}


@pytest.mark.parametrize(("max_payload", "size"), _CASES)
async def test_clients_and_gateways_list_and_call_everything(max_payload: int, size: int, tmp_path: Path):
    """M8.5"""
    async with Broker(f"max_payload: {max_payload}") as broker:
        settings = NodeSettings(identity="n1", connection=NatsOptions(urls=(broker.url,)))
        async with Node(server(size), settings=settings), connect(broker.url, timeout_s=30) as mesh:
            assert [tool.name for tool in await mesh.tools()] == ["a", "b", "large", "z"]
            for name in ("docs.a", "docs.large"):
                assert (await mesh.call(name, {"text": "hello"})).text == "hello"
            front = Front(mesh)

            async def ask(body: bytes) -> bytes:
                return (await front.handle(decode_incoming(body), caller="alice")).data

            assert await listed(ask) == [9, 9, size, 9]

            def run(*words: str) -> str:
                done = Desk(tmp_path).longreach(*words, "--nats", broker.url)
                assert done.returncode == 0, done.stderr
                return done.stdout

            assert "large" in await asyncio.to_thread(run, "ls", "tools")
            assert "large" in await asyncio.to_thread(run, "describe", "docs.large")
            assert "hello" in await asyncio.to_thread(run, "call", "docs.large", "text=hello")


@pytest.mark.parametrize(("max_payload", "size"), _CASES)
async def test_a_page_of_a_listing_with_it_comes_in_parts_like_any_result(max_payload: int, size: int):
    """M8.6, M16.3"""
    async with Broker(f"max_payload: {max_payload}") as broker:
        settings = NodeSettings(identity="n1", connection=NatsOptions(urls=(broker.url,)))
        async with Node(server(size), settings=settings), connect(broker.url, timeout_s=30) as mesh:

            async def ask(body: bytes) -> bytes:
                return await mesh.forward("docs", body, method="tools/list", name=None, caller="alice")

            assert await listed(ask) == [9, 9, size, 9]
            body = request("server/discover")
            answer = await mesh.forward("docs", body, method="server/discover", name=None, caller="alice")
            assert "tools" in json.loads(answer)["result"]["capabilities"]
