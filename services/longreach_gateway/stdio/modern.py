"""MCP 2026-07-28 over lines: each request speaks for itself, and is answered whenever it is done.

Source: MCP 2026-07-28 basic/transports/stdio.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.front import LISTEN, UNAVAILABLE
from longreach.observe import safe_text
from longreach.tasks import TaskSet
from longreach.wire import codes, jsonrpc
from longreach.wire.incoming import Incoming, decode_incoming

if TYPE_CHECKING:
    from longreach_gateway.stdio.late import LateFront
    from longreach_gateway.stdio.lines import Output

_log = logging.getLogger("longreach.stdio")
MAX_CONCURRENT = 256
"""Requests that are answered at the same time, and subscriptions."""
_CANCELLED = "notifications/cancelled"


class _Cancelled(msgspec.Struct):
    request_id: jsonrpc.RequestId = msgspec.field(name="requestId")


class Modern:
    """Answers requests of the modern era.

    Args:
        front: the mesh.
        output: where answers go.
        concurrent: how many may be answered at the same time.
    """

    def __init__(self, front: LateFront, output: Output, concurrent: int = MAX_CONCURRENT) -> None:
        self._front = front
        self._output = output
        self._concurrent = concurrent
        self._tasks = TaskSet("stdio")
        self._running: dict[jsonrpc.RequestId, asyncio.Task[None]] = {}
        self._listening: set[jsonrpc.RequestId] = set()

    async def take(self, line: bytes) -> None:
        """A message came."""
        try:
            request = decode_incoming(line)
        except jsonrpc.Malformed as error:
            await self._not_a_request(line, error)
            return
        if request.id in self._running:
            text = "a request of this id is still being answered"
            await self._refuse(request.id, codes.INVALID_REQUEST, text)
        elif len(self._running) >= self._concurrent:
            text = f"{self._concurrent} requests are being answered; wait for one to end"
            await self._refuse(request.id, UNAVAILABLE, text, {"reason": "busy", "delivered": "no"})
        else:
            task = self._tasks.spawn(self._answer(request), name=request.method)
            self._running[request.id] = task
            task.add_done_callback(partial(self._answered, request.id))

    async def quiet(self) -> None:
        """Wait until every request but subscriptions is answered."""
        waiting = [task for request_id, task in self._running.items() if request_id not in self._listening]
        if waiting:
            _ = await asyncio.wait(waiting)

    async def close(self) -> None:
        """Cancel what is still being answered, and say so in its answer."""
        running = {
            request_id: task
            for request_id, task in self._running.items()
            if request_id not in self._listening
        }
        await self._tasks.close()
        for request_id, task in running.items():
            if task.cancelled():  # nothing was written: writing is the last that a task does
                self._output.put(cut_off(request_id))

    async def _answer(self, request: Incoming) -> None:
        if request.method == LISTEN:
            self._listening.add(request.id)
            try:
                async with aclosing(self._front.listen(request)) as stream:
                    async for data in stream:
                        await self._output.write(data)
            except Exception as error:  # noqa: BLE001 - as above
                _log.exception("a subscription failed")
                await self._refuse(request.id, codes.INTERNAL_ERROR, f"internal error: {safe_text(error)}")
        else:
            try:
                answer = await self._front.handle(request, on_note=self._output.put)
            except Exception as error:  # noqa: BLE001 - a request without an answer hangs its client
                _log.exception("a request failed")
                await self._refuse(request.id, codes.INTERNAL_ERROR, f"internal error: {safe_text(error)}")
            else:
                await self._output.write(answer.data)

    def _answered(self, request_id: jsonrpc.RequestId, _: asyncio.Task[None]) -> None:
        self._listening.discard(request_id)
        del self._running[request_id]

    async def _not_a_request(self, line: bytes, error: jsonrpc.Malformed) -> None:
        try:
            notification = jsonrpc.decode_notification(line)
        except jsonrpc.Malformed:
            if not _is_response(line):  # clients of this era send none; who does is not answered
                await self._refuse(error.id, error.code, str(error))
            return
        if jsonrpc.read_raw_id(line) is not None:  # a request all the same, though its id may be no id
            await self._refuse(error.id, error.code, str(error))
        elif notification.method == _CANCELLED:
            self._cancel(notification.params)

    def _cancel(self, params: msgspec.Raw) -> None:
        try:
            cancelled = msgspec.json.decode(params, type=_Cancelled)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        task = self._running.get(cancelled.request_id)
        if task is not None:
            task.cancel()

    async def _refuse(
        self, request_id: jsonrpc.RequestId | None, code: int, message: str, data: Any = None
    ) -> None:
        await self._output.write(jsonrpc.encode_error(request_id, code, message, data))


def cut_off(request_id: jsonrpc.RequestId) -> bytes:
    """Return the answer to a request that was still running when the process had to end."""
    text = "the input ended, and this request was not done in time; it was cancelled"
    return jsonrpc.encode_error(request_id, UNAVAILABLE, text, {"reason": "closed", "delivered": "unknown"})


def _is_response(line: bytes) -> bool:
    try:
        jsonrpc.decode_response(line)
    except jsonrpc.Malformed:
        return False
    return True
