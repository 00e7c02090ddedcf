"""MCP 2025-11-25 and older over lines: one conversation for as long as the process lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, jsonrpc_message_adapter
from pydantic import ValidationError

from longreach.tasks import TaskSet
from longreach.wire import codes, jsonrpc
from longreach_gateway.legacy.conversation import Conversation

if TYPE_CHECKING:
    from longreach_gateway.stdio.late import LateFront
    from longreach_gateway.stdio.lines import Output

_AHEAD = 16


class Legacy:
    """Answers a client that begins with initialize.

    Args:
        front: the mesh.
        output: where answers go.
    """

    def __init__(self, front: LateFront, output: Output) -> None:
        self._output = output
        self._tasks = TaskSet("stdio")
        self._conversation = Conversation(front)
        self._to_us, read = anyio.create_memory_object_stream[SessionMessage | Exception](_AHEAD)
        write, from_us = anyio.create_memory_object_stream[SessionMessage](_AHEAD)
        self._streams = (self._to_us, read, write, from_us)
        self._tasks.start(self._conversation.run(read, write), name="conversation")
        self._tasks.start(self._write(from_us), name="output")

    async def take(self, line: bytes) -> None:
        """A message came."""
        try:
            message: JSONRPCMessage = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValidationError as error:
            is_json = error.errors()[0]["type"] != "json_invalid"
            code = codes.INVALID_REQUEST if is_json else codes.PARSE_ERROR
            text = "this is no message of MCP" if is_json else "this is not JSON"
            await self._output.write(jsonrpc.encode_error(None, code, text))
            return
        try:
            msgspec.json.decode(line)  # the SDK's parser lets NaN in, and numbers that are too large
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            text = f"this is not JSON: {error}"
            await self._output.write(
                jsonrpc.encode_error(getattr(message, "id", None), codes.PARSE_ERROR, text)
            )
            return
        await self._to_us.send(SessionMessage(message))

    async def quiet(self) -> None:
        """Wait until every request is answered."""
        await self._conversation.quiet()

    async def close(self) -> None:
        """End the conversation."""
        await self._tasks.close()
        for stream in self._streams:
            stream.close()

    async def _write(self, messages: Any) -> None:
        async for message in messages:
            data = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            await self._output.write(data.encode())
