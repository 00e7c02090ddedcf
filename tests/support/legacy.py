"""A legacy client, down to its messages."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from longreach_gateway.legacy.conversation import Conversation

CAPABILITIES = {"elicitation": {}, "sampling": {}, "roots": {"listChanged": True}}


class Wire:
    """Sends messages and keeps what comes."""

    def __init__(self, read: Any, write: Any) -> None:
        self._read = read
        self._write = write
        self._ids = itertools.count(1)
        self._responses: dict[Any, asyncio.Future[dict[str, Any]]] = {}
        self.notifications: list[dict[str, Any]] = []
        self.requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hear(self) -> None:
        async for item in self._read:
            message = item.message.model_dump(mode="json", by_alias=True, exclude_unset=True)
            if "method" not in message:
                self._responses.setdefault(message["id"], self._future()).set_result(message)
            elif "id" in message:
                self.requests.put_nowait(message)
            else:
                self.notifications.append(message)

    @staticmethod
    def _future() -> asyncio.Future[dict[str, Any]]:
        return asyncio.get_running_loop().create_future()

    async def send(self, message: dict[str, Any]) -> None:
        await self._write.send(
            SessionMessage(jsonrpc_message_adapter.validate_python({"jsonrpc": "2.0", **message}))
        )

    async def start(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request; its id."""
        request_id = next(self._ids)
        self._responses[request_id] = self._future()
        await self.send(
            {"id": request_id, "method": method, **({} if params is None else {"params": params})}
        )
        return request_id

    async def response(self, request_id: int) -> dict[str, Any]:
        async with asyncio.timeout(30):
            return await self._responses[request_id]

    async def request(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self.response(await self.start(method, params))

    async def result(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.request(method, params)
        assert "result" in answer, answer
        return answer["result"]

    async def error(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.request(method, params)
        assert "error" in answer, answer
        return answer["error"]

    async def asked(self) -> dict[str, Any]:
        """The next request that the server makes."""
        async with asyncio.timeout(30):
            return await self.requests.get()

    async def initialize(
        self, version: str = "2025-11-25", capabilities: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result = await self.result(
            "initialize",
            {
                "protocolVersion": version,
                "capabilities": CAPABILITIES if capabilities is None else capabilities,
                "clientInfo": {"name": "tests", "version": "1"},
            },
        )
        await self.send({"method": "notifications/initialized"})
        return result


@asynccontextmanager
async def talking(conversation: Conversation) -> AsyncIterator[Wire]:
    """`conversation` with a client at its other end."""
    async with create_client_server_memory_streams() as (client, server), asyncio.TaskGroup() as group:
        wire = Wire(*client)
        hearing = group.create_task(wire.hear())
        running = group.create_task(conversation.run(*server))
        yield wire
        await client[1].aclose()
        async with asyncio.timeout(30):
            await running
        hearing.cancel()
