"""What people write in their tools, and what hosts send, over a mesh."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from mcp.client.client import Client
from tests.support.hosts import node

from longreach import Image, Mesh, Server, connect, sdk
from longreach.transport.memory import MemoryBroker


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function of either kind, as decorators do that know nothing of `async`."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@traced
async def far(x: int) -> int:
    return x + 1


def idioms() -> Server:
    server = Server("idioms", version="1.0.0")

    @server.tool
    @traced
    async def wrapped(x: int) -> int:
        return x + 1

    server.tool(process=True)(far)

    @server.prompt
    @traced
    async def asking(topic: str) -> str:
        return f"about {topic}"

    @server.resource("mem://{name}", complete={"name": traced(completing)})
    @traced
    async def reading(name: str) -> str:
        return name

    @server.tool
    def pictures() -> list:
        return ["text", Image(b"abc", format="png"), {"a": 1}]

    @server.tool
    def untyped():
        return ("text", Image(b"abc", format="png"), {"a": 1})

    @server.tool
    def plain() -> list:
        return ["text", 1]

    @server.tool
    def taking(n: int, many: list[int], flag: bool = False, text: str = "") -> list[Any]:
        return [n, many, flag, text]

    return server


async def completing(so_far: str) -> list[str]:
    return [so_far + "!"]


def strict() -> Server:
    server = Server("strict", version="1.0.0", strict_arguments=True)

    @server.tool
    def taking(n: int) -> int:
        return n

    @server.tool(input_schema={"type": "object", "properties": {"n": {"type": "integer"}}})
    def by_hand(arguments: dict[str, Any]) -> int:
        return 1

    return server


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    broker = MemoryBroker()
    async with (
        node(broker, idioms(), strict()),
        connect(link=broker.link(), timeout_s=20) as mesh,
    ):
        yield mesh


@pytest.mark.parametrize("tool", ["wrapped", "far"])
async def test_what_a_plain_wrapper_returns_is_awaited(mesh: Mesh, tool: str) -> None:
    result = await mesh.call(f"idioms.{tool}", {"x": 1})
    assert not result.is_error, result.text
    assert result.text == "2"


async def test_so_it_is_for_prompts_resources_and_completion(mesh: Mesh) -> None:
    prompt = await mesh.get_prompt("idioms.asking", {"topic": "a"})
    assert "about a" in str(prompt.messages)
    assert (await mesh.read("idioms", "mem://abc")).text == "abc"
    async with Client(sdk.transport(mesh=mesh, server="idioms")) as client:
        from mcp_types import ResourceTemplateReference

        reference = ResourceTemplateReference(type="ref/resource", uri="mem://{name}")
        completed = await client.complete(reference, {"name": "name", "value": "a"})
        assert completed.completion.values == ["a!"]


@pytest.mark.parametrize("tool", ["pictures", "untyped"])
async def test_a_list_of_texts_media_and_data_is_content(mesh: Mesh, tool: str) -> None:
    async with Client(sdk.transport(mesh=mesh, server="idioms")) as client:
        result = await client.call_tool(tool, {})
    assert not result.is_error
    assert [block.type for block in result.content] == ["text", "image", "text"]
    assert getattr(result.content[2], "text", "") == '{"a":1}'
    if tool == "pictures":  # its schema promises a list
        assert result.structured_content is not None
        assert result.structured_content["result"][0] == "text"
        assert result.structured_content["result"][2] == {"a": 1}


async def test_a_list_of_data_is_data(mesh: Mesh) -> None:
    assert msgspec.json.decode((await mesh.call("idioms.plain", {})).text) == ["text", 1]


async def test_arguments_that_come_as_json_text_are_taken(mesh: Mesh) -> None:
    sent = {"n": "3", "many": "[1,2]", "flag": "true", "text": "[1]"}
    result = await mesh.call("idioms.taking", sent)
    assert msgspec.json.decode(result.text) == [3, [1, 2], True, "[1]"]
    result = await mesh.call("idioms.taking", {"n": "three", "many": "[1,2]"})
    assert result.is_error
    assert "n: expected an integer, got a string" in result.text


@pytest.mark.parametrize("tool", ["taking", "by_hand"])
async def test_a_strict_server_refuses_them(mesh: Mesh, tool: str) -> None:
    result = await mesh.call(f"strict.{tool}", {"n": "3"})
    assert result.is_error
    assert (await mesh.call(f"strict.{tool}", {"n": 3})).is_error is False
