from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
import msgspec
import pytest
from fastmcp import Context as FastContext
from fastmcp import FastMCP
from mcp.server.lowlevel import Server as LowLevel
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel
from tests.support.bridges import Meshed, listed
from tests.support.links import eventually

from longreach import Server
from longreach.errors import NotStarted, RemoteError
from longreach_bridge.mount import adapt


class User(BaseModel):
    name: str


class Stock:
    """What the lifespan of a mounted server gives to its handlers."""

    entered = 0
    left = 0


def official(stock: Stock, entered: asyncio.Event) -> MCPServer:
    @asynccontextmanager
    async def lifespan(_: MCPServer) -> AsyncIterator[Stock]:
        stock.entered += 1
        yield stock
        stock.left += 1

    app = MCPServer("My docs", version="2.1.0", instructions="use it", lifespan=lifespan)

    @app.tool(title="Adds", meta={"x": [1]})
    async def add(a: int, b: int) -> int:
        """Adds two."""
        return a + b

    @app.tool()
    async def report(ctx: Context) -> str:
        await ctx.report_progress(1, 2, "half")
        assert ctx.request_context.lifespan_context is stock
        return str(stock.entered)

    @app.tool()
    async def grow(ctx: Context) -> str:
        app.add_tool(add, name="added")
        await ctx.notify_tools_changed()
        return "grown"

    @app.tool()
    async def hang() -> None:
        entered.set()
        await asyncio.sleep(60)

    @app.tool()
    async def greet(ctx: Context) -> str:
        answer = await ctx.elicit("Who are you?", User)
        return f"{answer.action} {answer.data.name if answer.action == 'accept' else ''}"

    @app.tool()
    async def fail() -> None:
        raise RuntimeError("secret")

    @app.resource("note://today")
    def today() -> str:
        return "milk"

    @app.resource("note://{day}/text")
    def of_day(day: str) -> str:
        return f"milk on {day}"

    @app.prompt()
    def hello(name: str) -> str:
        return f"hello {name}"

    @app.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> types.Completion:
        return types.Completion(values=[argument.value + "!"])

    return app


@pytest.fixture
def stock() -> Stock:
    return Stock()


@pytest.fixture
async def entered() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def app(stock: Stock, entered: asyncio.Event) -> MCPServer:
    return official(stock, entered)


def mounted(app: object) -> Server:
    server = adapt(app)
    assert server is not None
    return server


async def test_what_it_says_of_itself_is_the_servers(app: MCPServer) -> None:
    server = mounted(app)

    assert (server.name, server.version, server.instructions) == ("My-docs", "2.1.0", "use it")


def test_other_objects_are_none() -> None:
    assert adapt(Server("docs")) is None
    assert adapt(42) is None


async def test_everything_that_it_offers_is_offered_as_it_is(app: MCPServer, mesh_of: Meshed) -> None:
    await mesh_of.host(mounted(app))
    mesh = await mesh_of.caller()

    own = [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in await app.list_tools()]
    await mesh.tools()

    assert await listed(mesh, "My-docs", "tools") == sorted(own, key=lambda tool: tool["name"])
    assert [prompt.name for prompt in await mesh.prompts()] == ["hello"]
    assert [resource.uri for resource in await mesh.resources()] == ["note://today"]
    assert len(await mesh.templates()) == 1


async def test_its_tools_prompts_resources_and_completions_answer(app: MCPServer, mesh_of: Meshed) -> None:
    await mesh_of.host(mounted(app))
    mesh = await mesh_of.caller()

    assert (await mesh.call("My-docs.add", {"a": 1, "b": 2})).content[0].text == "3"
    assert "hello joe" in str((await mesh.get_prompt("My-docs.hello", {"name": "joe"})).messages)
    assert (await mesh.read("My-docs", "note://today")).contents[0].text == "milk"
    assert (await mesh.read("My-docs", "note://monday/text")).contents[0].text == "milk on monday"


async def test_its_lifespan_is_entered_once_and_left(app: MCPServer, stock: Stock, mesh_of: Meshed) -> None:
    node = await mesh_of.host(mounted(app))
    mesh = await mesh_of.caller()
    heard: list[float] = []

    for _ in range(3):
        result = await mesh.options(on_progress=lambda p, *_: heard.append(p)).call("My-docs.report", {})
        assert result.content[0].text == "1"
    await node.drain()

    assert heard == [1, 1, 1]
    assert (stock.entered, stock.left) == (1, 1)


async def test_a_change_that_it_publishes_is_announced(app: MCPServer, mesh_of: Meshed) -> None:
    await mesh_of.host(mounted(app))
    mesh = await mesh_of.caller()

    await mesh.call("My-docs.grow", {})

    async with asyncio.timeout(30):
        while "added" not in [tool.name for tool in await mesh.tools()]:
            await asyncio.sleep(0.01)
    assert (await mesh.call("My-docs.added", {"a": 1, "b": 2})).content[0].text == "3"


async def test_a_cancel_reaches_the_handler(app: MCPServer, entered: asyncio.Event, mesh_of: Meshed) -> None:
    node = await mesh_of.host(mounted(app))
    mesh = await mesh_of.caller()

    async with asyncio.timeout(30):
        calling = asyncio.get_running_loop().create_task(mesh.call("My-docs.hang", {}))
        await entered.wait()
        calling.cancel()
        await eventually(lambda: node.in_flight == 0)


async def test_errors_are_the_frameworks_own(app: MCPServer, mesh_of: Meshed) -> None:
    await mesh_of.host(mounted(app))
    mesh = await mesh_of.caller()

    failed = await mesh.call("My-docs.fail", {})
    wrong = await mesh.call("My-docs.add", {"a": "x"})

    assert failed.is_error
    assert wrong.is_error
    with pytest.raises(RemoteError, match="-32602"):
        await mesh.read("My-docs", "note://nowhere")


async def test_a_handler_may_ask_in_the_middle_and_goes_on(app: MCPServer, mesh_of: Meshed) -> None:
    await mesh_of.host(mounted(app))
    asked: list[str] = []

    async def on_elicit(params: Any) -> dict[str, Any]:
        asked.append(params.message)
        return {"name": "joe"}

    mesh = await mesh_of.caller(on_elicit=on_elicit)

    result = await mesh.call("My-docs.greet", {})

    assert result.content[0].text == "accept joe"
    assert asked == ["Who are you?"]


async def test_a_question_to_a_caller_who_answers_none_is_a_failure(app: MCPServer, mesh_of: Meshed) -> None:
    await mesh_of.host(mounted(app))
    mesh = await mesh_of.caller()

    with pytest.raises(RemoteError, match="no back-channel"):  # the SDK's own words
        await mesh.call("My-docs.greet", {})


async def test_fastmcp_servers_are_hosted_too(mesh_of: Meshed) -> None:
    app = FastMCP("fast", version="1.0.0")

    @app.tool
    async def add(a: int, b: int, ctx: FastContext) -> int:
        await ctx.report_progress(1, 1)
        return a + b

    @app.tool
    async def grow(ctx: FastContext) -> str:
        app.add_tool(FastMCP("other").tool(lambda: "hi", name="added"))
        await ctx.send_notification(types.ToolListChangedNotification())
        return "grown"

    @app.resource("note://today")
    def today() -> str:
        return "milk"

    await mesh_of.host(mounted(app))
    mesh = await mesh_of.caller()

    assert (await mesh.call("fast.add", {"a": 1, "b": 2})).structured == {"result": 3}
    assert (await mesh.read("fast", "note://today")).contents[0].text == "milk"


async def test_low_level_servers_are_hosted_too(mesh_of: Meshed) -> None:
    async def tools(_: Any, __: Any) -> types.ListToolsResult:
        schema = {"type": "object", "$defs": {"a": {"type": "string"}}, "odd": True}
        return types.ListToolsResult(tools=[types.Tool(name="echo", input_schema=schema)])

    async def call(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(type="text", text=params.name)])

    low = LowLevel("low", version="", on_list_tools=tools, on_call_tool=call)
    server = mounted(low)
    await mesh_of.host(server)
    mesh = await mesh_of.caller()

    assert server.version == "0.0.0"
    assert (await mesh.call("low.echo", {})).content[0].text == "echo"
    [tool] = await listed(mesh, "low", "tools")
    assert tool["inputSchema"] == {"type": "object", "$defs": {"a": {"type": "string"}}, "odd": True}


async def test_request_states_are_good_on_every_replica_and_for_their_caller_only(mesh_of: Meshed) -> None:
    def replica() -> MCPServer:
        app = MCPServer("rounds", version="1.0.0")

        @app.tool()
        async def ask(ctx: Context) -> str | types.InputRequiredResult:
            if ctx.input_responses is None:
                request = types.ElicitRequest(
                    params=types.ElicitRequestFormParams(
                        message="Who?", requested_schema={"type": "object", "properties": {}}
                    )
                )
                return types.InputRequiredResult(input_requests={"who": request}, request_state="kept")
            return f"{ctx.request_state}"

        return app

    keys = ("k1:" + "A" * 43 + "=",)
    for number in (1, 2):
        await mesh_of.host(mounted(replica()), identity=f"n{number}", state_keys=keys)
    mesh = await mesh_of.caller(on_elicit=lambda _: {})

    answers = {(await mesh.call("rounds.ask", {})).content[0].text for _ in range(6)}

    assert answers == {"kept"}


async def test_a_handlers_own_failed_call_elsewhere_does_not_say_that_it_did_not_run(mesh_of: Meshed) -> None:
    ran: list[str] = []

    async def tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="chain", input_schema={"type": "object"})])

    async def call(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        ran.append(params.name)
        raise NotStarted("another tool was busy", reason="busy")

    await mesh_of.host(mounted(LowLevel("low", on_list_tools=tools, on_call_tool=call)))
    mesh = await mesh_of.caller()

    with pytest.raises(RemoteError) as caught:
        await mesh.call("low.chain", {})
    assert caught.value.delivered == "yes"
    assert ran == ["chain"]
    assert "busy" not in str(caught.value)


@pytest.mark.parametrize("asking", [False, True])
@pytest.mark.parametrize("reason", ["cut_off", "deadline"])
async def test_an_error_that_speaks_as_a_node_would_is_an_answer(
    mesh_of: Meshed, reason: str, asking: bool
) -> None:
    """M5.2"""
    ran: list[str] = []

    async def tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="chain", input_schema={"type": "object"})])

    async def call(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        ran.append(params.name)
        raise MCPError(code=-32603, message="mine", data={"reason": reason})

    await mesh_of.host(mounted(LowLevel("low", on_list_tools=tools, on_call_tool=call)))
    mesh = await mesh_of.caller(**({"on_roots": list} if asking else {}))

    with pytest.raises(RemoteError) as caught:
        await mesh.options(idempotent=True).call("low.chain", {})
    assert (caught.value.delivered, caught.value.code) == ("yes", -32603)
    assert ran == ["chain"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
async def test_what_would_end_the_loop_ends_the_call_of_a_handler_that_may_ask(
    mesh_of: Meshed, error: type[BaseException]
) -> None:
    async def tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in ("leave", "stay")]
        )

    async def call(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        if params.name == "leave":
            raise error
        return types.CallToolResult(content=[types.TextContent(type="text", text="here")])

    await mesh_of.host(mounted(LowLevel("low", on_list_tools=tools, on_call_tool=call)))
    mesh = await mesh_of.caller(on_roots=list)

    with pytest.raises(RemoteError) as caught:
        await mesh.options(idempotent=True).call("low.leave", {})
    assert caught.value.delivered == "yes"
    assert (await mesh.call("low.stay", {})).text == "here"


async def test_fastmcp_handlers_ask_where_the_client_is_of_the_era_that_they_ask(mesh_of: Meshed) -> None:
    app = FastMCP("fast", version="1.0.0")

    @app.tool
    async def greet(ctx: FastContext) -> str:
        answer = await ctx.elicit("Who are you?", User)
        return f"{answer.action} {answer.data.name if answer.action == 'accept' else ''}"

    node = await mesh_of.host(mounted(app))
    mesh = await mesh_of.caller()
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
        "longreach/era": "2025-11-25",
    }
    params: dict[str, Any] = {"name": "greet", "arguments": {}, "_meta": meta}

    async def ask(**more: Any) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**params, **more}}
        to = node.name if more else None
        data = msgspec.json.encode(body)
        answer = await mesh.forward("fast", data, method="tools/call", name="greet", to_node=to)
        return msgspec.json.decode(answer)["result"]

    asked = await ask()
    done = await ask(
        inputResponses={"1": {"action": "accept", "content": {"name": "joe"}}},
        requestState=asked["requestState"],
    )

    assert asked["resultType"] == "input_required"
    assert done["content"][0]["text"] == "accept joe"
