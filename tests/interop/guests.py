"""The Python clients: the official SDK's, and FastMCP's."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import fastmcp
from mcp.client.client import Client
from mcp.client.context import ClientRequestContext
from mcp.client.subscriptions import Subscription, listen
from mcp.types import ElicitRequestParams, ElicitResult, TextContent, TextResourceContents
from tests.interop.visit import OnProgress


async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """The SDK's elicitation callback."""
    return ElicitResult(action="accept", content={"name": "Ada"})


async def fast_answer(message: str, response_type: Any, params: Any, context: Any) -> dict[str, str]:
    """FastMCP's elicitation handler."""
    return {"name": "Ada"}


class OfficialGuest:
    """The official SDK's `Client`, over any transport that it takes."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self._client.list_tools()).tools]

    async def call(self, name: str, arguments: dict[str, Any], on_progress: OnProgress | None) -> str:
        result = await self._client.call_tool(name, arguments, progress_callback=on_progress)
        assert isinstance(result.content[0], TextContent), result
        return result.content[0].text

    async def read(self, uri: str) -> str:
        contents = (await self._client.read_resource(uri)).contents[0]
        assert isinstance(contents, TextResourceContents), contents
        return contents.text

    def listen(self, uri: str) -> AbstractAsyncContextManager[Subscription]:
        return self._client.listen(tools_list_changed=True, resource_subscriptions=[uri])


class FastGuest:
    """FastMCP's `Client`; it has no `listen` of its own, and its session takes the SDK's."""

    def __init__(self, client: fastmcp.Client[Any]) -> None:
        self._client = client

    async def tools(self) -> list[str]:
        return [tool.name for tool in await self._client.list_tools()]

    async def call(self, name: str, arguments: dict[str, Any], on_progress: OnProgress | None) -> str:
        result = await self._client.call_tool(name, arguments, progress_handler=on_progress)
        assert isinstance(result.content[0], TextContent), result
        return result.content[0].text

    async def read(self, uri: str) -> str:
        contents = (await self._client.read_resource(uri))[0]
        assert isinstance(contents, TextResourceContents), contents
        return contents.text

    def listen(self, uri: str) -> AbstractAsyncContextManager[Subscription]:
        return listen(self._client.session, tools_list_changed=True, resource_subscriptions=[uri])
