"""The official SDK's client in its legacy mode, and what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp.types as types
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


class Heard:
    """What the server said without being asked."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.logs: list[Any] = []
        self.questions: list[str] = []

    async def message(self, message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            self.changes.append(str(message.params.uri))
        elif isinstance(message, types.ToolListChangedNotification):
            self.changes.append("tools")

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logs.append(params.data)

    async def elicit(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.questions.append(params.message)
        return types.ElicitResult(action="accept", content={"name": "Ada"})


@asynccontextmanager
async def session_over(streams: Any) -> AsyncIterator[tuple[ClientSession, Heard]]:
    """A session that is initialized, over a transport's streams."""
    heard = Heard()
    async with (
        asyncio.timeout(30),
        streams as (read, write, *_),
        ClientSession(
            read,
            write,
            elicitation_callback=heard.elicit,
            logging_callback=heard.log,
            message_handler=heard.message,
        ) as session,
    ):
        await session.initialize()
        yield session, heard


def over_http(url: str) -> Any:
    return session_over(streamable_http_client(url))
