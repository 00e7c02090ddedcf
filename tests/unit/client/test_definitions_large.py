"""A definition that no message holds hides no other of its server."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.hosts import node

from longreach import Server, connect
from longreach.errors import NotFound
from longreach.node import announcer
from longreach.node.announcer import Announcer
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
    max_payload: int, size: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """M8.5: as an asker without parts has it."""
    monkeypatch.setattr(announcer, "understands", lambda connection: False)
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
async def test_at_the_very_edge_either_it_comes_or_the_others_do(over: int, monkeypatch: pytest.MonkeyPatch):
    """M8.5"""
    monkeypatch.setattr(announcer, "understands", lambda connection: False)
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


@pytest.mark.parametrize("over", [-40, -26, -25, -24, -1, 0, 1])
async def test_at_the_very_edge_everything_comes_to_askers_that_understand_parts(over: int):
    """M8.5"""
    broker = MemoryBroker(max_payload=65_536)
    async with node(broker, server(65_400 + over)), connect(link=broker.link(), timeout_s=5) as mesh:
        assert [tool.name for tool in await mesh.tools()] == ["a", "b", "large", "z"]


@pytest.mark.parametrize(
    ("max_payload", "size"), [(65_536, 90_000), (65_536, 1_800_000), (1_048_576, 1_800_000)]
)
async def test_a_definition_that_no_message_holds_comes_in_parts(
    max_payload: int, size: int, caplog: pytest.LogCaptureFixture
):
    """M8.5"""
    broker = MemoryBroker(max_payload=max_payload)
    async with node(broker, server(size)), connect(link=broker.link(), timeout_s=20) as mesh:
        tools = {tool.name: tool for tool in await mesh.tools()}
        assert list(tools) == ["a", "b", "large", "z"]
        assert tools["large"].description == "x" * size
        for name in ("docs.a", "docs.large"):
            result: Any = await mesh.call(name, {"text": "hello"})
            assert result.text == "hello"
    assert [record.getMessage() for record in caplog.records].count("definition.too_large") == 1


async def test_a_manifest_that_no_message_holds_comes_in_parts():
    """M8.5"""
    docs = Server("docs")

    async def handler(text: str = "") -> str:
        return text

    for number in range(2800):
        docs.add_tool(handler, name=f"tool{number}")
    broker = MemoryBroker(max_payload=65_536)
    async with node(broker, docs), connect(link=broker.link(), timeout_s=20) as mesh:
        assert len(await mesh.tools()) == 2800
        result: Any = await mesh.call("docs.tool2799", {"text": "hello"})
        assert result.text == "hello"


async def test_parts_that_are_not_what_was_announced_hide_no_other(monkeypatch: pytest.MonkeyPatch):
    """M8.5"""

    def forged(self: Announcer, route: Any, asked: Any) -> None:
        self._replies.frame(route, b"y" * min(asked.bytes, 60_000), None)

    monkeypatch.setattr(Announcer, "_give_part", forged)
    docs = server(90_000)

    async def handler() -> None:
        """Do nothing."""

    small = [f"small{number:02}" for number in range(40)]
    for name in small:  # they take several answers
        docs.add_tool(handler, name=name, description="x" * 9_000)
    broker = MemoryBroker(max_payload=65_536)
    async with node(broker, docs), connect(link=broker.link(), timeout_s=20) as mesh:
        assert [tool.name for tool in await mesh.tools()] == ["a", "b", *small, "z"]
