"""A number that JSON does not have is an error that names its place, at each border. It is never null."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from mcp.client.client import Client
from tests.support.hosts import node

from longreach import Context, Mesh, ProtocolError, Server, connect, sdk
from longreach.errors import ConfigError, RemoteError
from longreach.transport.memory import MemoryBroker
from longreach.wire.mcp import CallToolResult, TextContent

KEY = "k1:" + "A" * 43 + "="
NAN = math.nan


def numbers() -> Server:
    server = Server("numbers", version="1.0.0")

    @server.tool
    def typed() -> dict[str, float]:
        return {"mean": NAN}

    @server.tool
    def untyped():
        return {"rows": [{"mean": math.inf}]}

    @server.tool
    def listed() -> list:
        return [1.0, -math.inf]

    @server.tool
    def whole() -> CallToolResult:
        return CallToolResult([TextContent("x", meta={"score": NAN})])

    @server.tool
    def failing() -> str:
        raise ProtocolError(-32001, "no", {"mean": NAN})

    @server.tool
    async def stepping(ctx: Context) -> str:
        return str(await ctx.step("once", lambda: {"mean": NAN}))

    @server.tool
    def logging(ctx: Context) -> str:
        ctx.log("info", {"mean": NAN})
        return "logged"

    @server.tool
    def reporting(ctx: Context) -> str:
        ctx.report_progress(NAN)
        return "reported"

    @server.tool
    def shouting(ctx: Context) -> str:
        ctx.log("loud", "x")  # type: ignore[arg-type]
        return "shouted"

    @server.tool
    def taking(x: Any) -> str:
        return repr(x)

    @server.resource("mem://means")
    def means() -> dict[str, float]:
        return {"mean": NAN}

    return server


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    broker = MemoryBroker()
    async with (
        node(broker, numbers(), state_keys=(KEY,)),
        connect(link=broker.link(), timeout_s=5, on_log=None) as mesh,
    ):
        yield mesh


@pytest.mark.parametrize(
    ("tool", "place"),
    [
        ("typed", "NaN at mean"),
        ("untyped", "Infinity at rows[0].mean"),
        ("listed", "-Infinity at [1]"),
        ("stepping", "NaN at mean"),
    ],
)
async def test_a_result_is_refused_with_its_place(mesh: Mesh, tool: str, place: str) -> None:
    result = await mesh.call(f"numbers.{tool}")
    assert result.is_error
    assert place in result.text
    async with Client(sdk.transport(mesh=mesh, server="numbers")) as client:
        assert (await client.call_tool(tool, {})).is_error


@pytest.mark.parametrize("tool", ["reporting", "shouting"])
@pytest.mark.parametrize("asks", [True, False])
async def test_a_wrong_report_fails_whether_the_caller_asks_for_it_or_not(
    mesh: Mesh, tool: str, asks: bool
) -> None:
    if asks:
        mesh = mesh.options(on_progress=lambda *_: None, on_log=lambda *_: None)
    assert (await mesh.call(f"numbers.{tool}")).is_error


@pytest.mark.parametrize("tool", ["whole", "failing"])
async def test_what_a_handler_makes_whole_is_refused_as_well(mesh: Mesh, tool: str) -> None:
    with pytest.raises(RemoteError, match="JSON has no NaN") as caught:
        await mesh.call(f"numbers.{tool}")
    assert caught.value.reason == "bad_result"


async def test_a_resource_is_refused(mesh: Mesh) -> None:
    with pytest.raises(RemoteError):
        await mesh.read("numbers", "mem://means")


async def test_a_log_message_with_such_a_number_is_told_as_text(mesh: Mesh) -> None:
    heard: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    await mesh.options(on_log=lambda *said: heard.put_nowait(said)).call("numbers.logging")
    async with asyncio.timeout(5):
        assert await heard.get() == ("info", "{'mean': nan}", None)


@pytest.mark.parametrize("number", [NAN, math.inf, -math.inf])
async def test_arguments_are_refused_before_they_are_sent(mesh: Mesh, number: float) -> None:
    with pytest.raises(ConfigError, match=r"JSON has no .* at x\[0\]"):
        await mesh.call("numbers.taking", {"x": [number]})
    with pytest.raises(ConfigError, match="JSON has no"):
        await mesh.call("numbers.taking", {"x": 1}, input_responses={"a": {"b": number}})


async def test_null_is_still_null(mesh: Mesh) -> None:
    assert (await mesh.call("numbers.taking", {"x": None})).text == "None"
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b'{"x": NaN}')
