"""MCP 2025-11-25 and older over lines: one conversation for as long as the process lives."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from mcp.shared.message import SessionMessage
from mcp_types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from longreach.observe import safe_text
from longreach.tasks import TaskSet
from longreach.wire import codes, jsonrpc
from longreach.wire.incoming import decode_incoming
from longreach_gateway.legacy.conversation import Conversation
from longreach_gateway.stdio.modern import cut_off

if TYPE_CHECKING:
    from longreach_gateway.stdio.late import LateFront
    from longreach_gateway.stdio.lines import Output

_log = logging.getLogger("longreach.stdio")
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
        self._unanswered: set[jsonrpc.RequestId] = set()
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self._conversation = Conversation(front)
        self._to_us, read = anyio.create_memory_object_stream[SessionMessage | Exception](_AHEAD)
        write, from_us = anyio.create_memory_object_stream[SessionMessage](_AHEAD)
        self._streams = (self._to_us, read, write, from_us)
        self._tasks.start(self._conversation.run(read, write), name="conversation")
        self._tasks.start(self._write(from_us), name="output")

    async def take(self, line: bytes) -> None:
        """A message came."""
        try:
            msgspec.json.decode(line)  # the SDK's parser lets NaN in, and numbers that are too large
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            await self._refuse(_id_in(line), codes.PARSE_ERROR, f"this is not JSON: {error}")
            return
        try:
            message: JSONRPCMessage = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValidationError as error:
            await self._refuse_malformed(line, error)
            return
        match message:
            case JSONRPCNotification() if jsonrpc.read_raw_id(line) is not None:
                await self._refuse_malformed(line, None)  # a request whose id is no id
                return
            case JSONRPCRequest() if message.id in self._unanswered:
                text = "a request of this id is still being answered"
                await self._refuse(message.id, codes.INVALID_REQUEST, text)
                return
            case JSONRPCRequest():
                self._unanswered.add(message.id)
                self._all_answered.clear()
            case JSONRPCNotification(method="notifications/cancelled"):
                cancelled = (message.params or {}).get("requestId")
                if isinstance(cancelled, int | str):
                    self._ended(cancelled)  # the client wants no answer any more
            case _:
                pass
        await self._to_us.send(SessionMessage(message))

    async def _refuse_malformed(self, line: bytes, error: ValidationError | None) -> None:
        """Answer what is JSON, but no message of MCP, under its id where that can be read."""
        try:
            decode_incoming(line)
        except jsonrpc.Malformed as malformed:
            await self._refuse(malformed.id, malformed.code, str(malformed))
            return
        what = f": {error.errors()[0]['msg']}" if error is not None else ""
        await self._refuse(_id_in(line), codes.INVALID_REQUEST, f"this is no message of MCP{what}")

    async def _refuse(self, request_id: jsonrpc.RequestId | None, code: int, text: str) -> None:
        await self._output.write(jsonrpc.encode_error(request_id, code, text))

    async def quiet(self) -> None:
        """Wait until every request is answered.

        Requests are counted from the line that brought them to the line that answers them: in between they
        pass through queues and tasks of the SDK, which can be idle while there is something to answer.
        """
        await self._all_answered.wait()

    async def close(self) -> None:
        """End the conversation; what is still being answered is told so."""
        await self._tasks.close()
        for stream in self._streams:
            stream.close()
        for request_id in self._unanswered:
            self._output.put(cut_off(request_id))

    def _ended(self, request_id: jsonrpc.RequestId) -> None:
        self._unanswered.discard(request_id)
        if not self._unanswered:
            self._all_answered.set()

    async def _write(self, messages: Any) -> None:
        async for message in messages:
            said = message.message
            request_id = said.id if isinstance(said, JSONRPCResponse | JSONRPCError) else None
            try:
                data = said.model_dump_json(by_alias=True, exclude_unset=True).encode()
            except Exception as error:  # noqa: BLE001 - a text that has no UTF-8 form: the others must still be answered
                _log.exception("a message could not be written")
                if request_id is None:
                    continue
                text = f"the result could not be written: {safe_text(error)}"
                data = jsonrpc.encode_error(request_id, codes.INTERNAL_ERROR, text)
            await self._output.write(data)
            if request_id is not None:
                self._ended(request_id)


def _id_in(line: bytes) -> jsonrpc.RequestId | None:
    """Return the id of a message that is wrong elsewhere; None where it cannot be read."""
    try:
        found: jsonrpc.RequestId | None = msgspec.json.decode(
            jsonrpc.read_raw_id(line) or b"null", type=jsonrpc.RequestId | None
        )
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found
