"""The client under test: the bridge, which is the one that asks servers over HTTP.

`python -m tests.conformance.client URL` brings the suite's server into a mesh with `longreach bridge --url`,
and does through the mesh what the scenario asks for. The scenario and the broker come in the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

from mcp.client.client import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    TextContent,
)
from tests.support.services import Service

from longreach import Mesh, connect
from longreach.sdk import transport

BROKER = "LONGREACH_CONFORMANCE_BROKER"
_FOUND_TIMEOUT_S = 30.0
_SAMPLES: dict[str, Any] = {
    "string": "x",
    "integer": 1,
    "number": 1,
    "boolean": True,
    "object": {},
    "array": [],
}


async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Accept, with the defaults of the form; a plain yes where it has none."""
    fields = getattr(params, "requested_schema", {}).get("properties", {})
    filled = {name: field["default"] for name, field in fields.items() if "default" in field}
    agreed = {name: True for name, field in fields.items() if field.get("type") == "boolean"}
    return ElicitResult(action="accept", content={**agreed, **filled})


async def sample(context: ClientRequestContext, params: CreateMessageRequestParams) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="yes"), model="none")


async def roots(context: ClientRequestContext) -> ListRootsResult:
    return ListRootsResult(roots=[])


def smallest(schema: dict[str, Any]) -> dict[str, Any]:
    """Arguments that have no more than what is required."""
    properties = schema.get("properties", {})
    return {
        name: _SAMPLES.get(properties.get(name, {}).get("type"), "x") for name in schema.get("required", [])
    }


async def read_and_get(client: Client) -> None:
    """What has a name besides tools: the header that repeats it is looked at for each."""
    for resource in (await client.list_resources()).resources:
        await client.read_resource(str(resource.uri))
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name, {argument.name: "x" for argument in prompt.arguments or []})


async def drive(client: Client, scenario: str) -> None:
    """List the tools, and call those that the scenario is about."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    if scenario == "json-schema-2020-12-preservation":
        schema = tools["json_schema_2020_12_tool"].input_schema
        await client.call_tool("json_schema_echo", {"schema": schema})
        return
    if scenario == "http-custom-headers":
        context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
        calls = [(call["name"], call.get("arguments") or {}) for call in context.get("toolCalls", [])]
    elif scenario in {"tools_call", "request-metadata"}:
        calls = [("add_numbers", {"a": 5, "b": 3})]
    else:
        calls = [(name, smallest(tool.input_schema)) for name, tool in tools.items()]
    for name, arguments in calls:
        if name in tools:
            try:
                await client.call_tool(name, arguments)
            except MCPError as error:
                sys.stderr.write(f"{name}: {error}\n")


async def until_found(mesh: Mesh, server: str, bridge: Service) -> None:
    """Wait until the bridge has brought `server` into the mesh."""
    async with asyncio.timeout(_FOUND_TIMEOUT_S):
        while server not in {found.name for found in await mesh.servers()}:
            assert bridge.process.poll() is None, f"the bridge ended:\n{bridge.said}"
            await asyncio.sleep(0.05)


async def main(url: str) -> None:
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    broker, namespace = os.environ[BROKER], f"c{secrets.token_hex(4)}"
    words = ["bridge", "--name", "peer", "--url", url, "--nats", broker, "--namespace", namespace]
    with tempfile.TemporaryDirectory() as folder:
        with Service.longreach(Path(folder, "log"), *words) as bridge:
            async with connect(broker, namespace=namespace) as mesh:
                await until_found(mesh, "peer", bridge)
                async with Client(
                    transport(mesh=mesh, server="peer"),
                    elicitation_callback=elicit,
                    sampling_callback=sample,
                    list_roots_callback=roots,
                ) as client:
                    if scenario != "initialize":
                        await drive(client, scenario)
                    if scenario == "http-standard-headers":
                        await read_and_get(client)
        sys.stderr.write(bridge.said)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
