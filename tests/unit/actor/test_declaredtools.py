from __future__ import annotations

from typing import Annotated, Any

import pytest
from msgspec import Meta, Raw
from tests.support.declared import asked

from longreach import Context, Server
from longreach.errors import DeclarationError
from longreach.wire.mcp import CallToolResult, TextContent

INPUT = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "n": {"type": "integer", "minimum": 1},
    },
    "required": ["n"],
    "$defs": {"later": True},
}
OUTPUT = {"type": "object", "properties": {"twice": {"type": "integer"}}, "required": ["twice"]}


def made(**options: Any) -> Server:
    server = Server("docs")

    @server.tool(input_schema=INPUT, **options)
    async def double(arguments: dict[str, Any], ctx: Context) -> Any:
        """Double."""
        assert ctx.tool == "double"
        return arguments["n"] if options.get("raw") else {"twice": arguments["n"] * 2}

    return server


async def called(server: Server, arguments: Any) -> Any:
    return await asked(server, "tools/call", name="double", arguments=arguments)


async def test_the_schema_is_listed_as_it_is_and_the_arguments_come_in_one_dict():
    assert (await asked(made(), "tools/list"))["tools"] == [
        {"name": "double", "description": "Double.", "inputSchema": INPUT}
    ]
    result = await called(made(), {"n": 4})
    assert result["structuredContent"] == {"twice": 8}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({}, "n: missing, expected an integer"), ({"n": 0}, "n: 0 is less than the minimum of 1")],
)
async def test_wrong_arguments_are_a_tool_error(arguments: Any, said: str):
    result = await called(made(), arguments)
    assert result["isError"]
    assert result["content"][0]["text"] == f"wrong arguments: {said}"


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_function_that_wants_no_arguments_gets_none(kind: str):
    server = Server("docs")
    if kind == "async":

        async def double() -> str:
            return "done"

        server.add_tool(double, input_schema=INPUT)
    else:
        server.add_tool(lambda: "done", name="double", input_schema=INPUT)
    assert (await called(server, {"n": 1}))["content"][0]["text"] == "done"


@pytest.mark.parametrize(
    ("returned", "structured"),
    [
        ({"twice": 2}, {"twice": 2}),
        (CallToolResult([TextContent("two")], structured_content=Raw(b'{"twice":2}')), {"twice": 2}),
        (CallToolResult([TextContent("no")], is_error=True), None),
    ],
)
async def test_a_result_that_is_as_promised_goes_out(returned: Any, structured: Any):
    server = Server("docs")

    @server.tool(output_schema=OUTPUT)
    async def double(n: int) -> Any:
        return returned

    assert (await asked(server, "tools/list"))["tools"][0]["outputSchema"] == OUTPUT
    result = await called(server, {"n": 1})
    assert result.get("structuredContent") == structured


@pytest.mark.parametrize(
    "returned",
    [{"twice": "2"}, {}, 5, object(), CallToolResult([]), CallToolResult([], structured_content=Raw(b"[]"))],
)
async def test_a_result_that_is_not_is_a_failure_that_tells_nothing(returned: Any):
    server = Server("docs")

    @server.tool(output_schema=OUTPUT)
    async def double(n: int) -> Any:
        return returned

    result = await called(server, {"n": 1})
    assert result["isError"]
    assert "the log of" in result["content"][0]["text"]


async def test_an_array_can_be_promised():
    server = Server("docs")

    @server.tool(output_schema={"type": "array"})
    async def double() -> list[int]:
        return [1, 2]

    assert (await called(server, {}))["structuredContent"] == [1, 2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"input_schema": {"type": "array"}}, "type"),
        ({"input_schema": {"type": "object", "$ref": "https://x/y"}}, "input_schema of f"),
        ({"output_schema": {"type": "nope"}}, "output_schema of f"),
        ({"input_schema": {"type": "object", "x-mcp-header": "x"}}, "no client finds it"),
    ],
)
def test_what_is_no_schema_of_a_tool_is_refused(options: dict[str, Any], said: str):
    async def f(arguments: dict[str, Any]) -> None: ...

    with pytest.raises(DeclarationError, match=said):
        Server("docs").add_tool(f, **options)


def test_a_function_of_several_parameters_does_not_go_with_a_declared_schema():
    async def f(a: int, b: int) -> None: ...

    with pytest.raises(DeclarationError, match="one dict, not as a, b"):
        Server("docs").add_tool(f, input_schema=INPUT)


async def test_a_typed_parameter_can_be_mirrored_into_a_header():
    server = Server("docs")

    @server.tool
    async def query(
        region: Annotated[str, Meta(extra_json_schema={"x-mcp-header": "Region"})], limit: int = 1
    ) -> str:
        return region

    schema = (await asked(server, "tools/list"))["tools"][0]["inputSchema"]
    assert schema["properties"]["region"] == {"type": "string", "x-mcp-header": "Region"}
    with pytest.raises(DeclarationError, match="header's name"):

        @server.tool
        async def other(region: Annotated[str, Meta(extra_json_schema={"x-mcp-header": ""})]) -> str:
            return region
