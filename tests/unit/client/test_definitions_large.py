"""A definition that no message holds hides no other of its server."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.hosts import node

from longreach import Server, connect
from longreach.errors import NotFound
from longreach.transport.memory import MemoryBroker


def server(bytes_of_one: int) -> Server:
    """A server with small tools, and one whose description alone has so many bytes."""
    docs = Server("docs")
    for name in ("a", "b", "large", "z"):

        async def handler(text: str = "") -> str:
            return text

        docs.add_tool(handler, name=name, description="x" * (bytes_of_one if name == "large" else 9))
    return docs


@pytest.mark.parametrize(("max_payload", "size"), [(65_536, 90_000), (1_048_576, 1_800_000)])
async def test_small_tools_are_listed_and_called_and_the_node_says_once_what_is_too_large(
    max_payload: int, size: int, caplog: pytest.LogCaptureFixture
):
    """M8.5"""
    broker = MemoryBroker(max_payload=max_payload)
    async with node(broker, server(size)), connect(link=broker.link(), timeout_s=5) as mesh:
        for _ in range(2):
            assert [tool.name for tool in await mesh.tools()] == ["a", "b", "z"]
        result: Any = await mesh.call("docs.a", {"text": "hello"})
        assert result.text == "hello"
        assert not mesh.catalog.hints("docs", "large").read_only
        with pytest.raises(NotFound, match="one of its definitions could not be fetched") as told:
            await mesh.call("docs.large", {})
        assert told.value.reason == "not_fetched"
    assert [record.getMessage() for record in caplog.records].count("definition.too_large") == 1


@pytest.mark.parametrize("over", [-40, -26, -25, -1, 0, 1])
async def test_at_the_very_edge_either_it_comes_or_the_others_do(over: int):
    """M8.5"""
    broker = MemoryBroker(max_payload=65_536)
    bare = server(1)
    async with node(broker, bare), connect(link=broker.link()) as mesh:
        rest = next(len(e.raw) for e in (await mesh.learn()).list_tools() if e.name == "large")
    broker = MemoryBroker(max_payload=65_536)
    async with (
        node(broker, server(65_536 - rest + 1 + over)),
        connect(link=broker.link(), timeout_s=5) as mesh,
    ):
        names = [tool.name for tool in await mesh.tools()]
        assert names == (["a", "b", "large", "z"] if over <= -25 else ["a", "b", "z"])
