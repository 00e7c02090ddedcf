"""The process: which era its client speaks, and when it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Protocol

import msgspec

from longreach import forks
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.wire import codes, jsonrpc
from longreach.wire.incoming import decode_incoming
from longreach_gateway.stdio.lines import Input, Output, TooLong, take_standard_streams
from longreach_gateway.stdio.modern import Modern

if TYPE_CHECKING:
    from longreach_gateway.stdio.late import LateFront

_log = logging.getLogger("longreach.stdio")
_LAST_ANSWERS_S = 2.0
"""How long requests may go on after the input has ended: a pipe that sends one request wants its answer."""
_LAST_BYTES_S = 2.0
_PROBE = "server/discover"


class Talk(Protocol):
    """One era."""

    async def take(self, line: bytes) -> None:
        """A message came."""
        ...

    async def quiet(self) -> None:
        """Wait until every request is answered."""
        ...

    async def close(self) -> None:
        """Cancel what is still being answered."""
        ...


class Eras:
    """Gives lines to the era that the client begins with; until it has, its probes are answered.

    Args:
        front: the mesh.
        output: where answers go.
    """

    def __init__(self, front: LateFront, output: Output) -> None:
        self._front = front
        self._output = output
        self._modern = Modern(front, output)
        self._chosen: Talk | None = None

    async def take(self, line: bytes | TooLong) -> None:
        """A message came."""
        if isinstance(line, TooLong):
            text = "the message is longer than a line may be; it was skipped"
            await self._output.write(jsonrpc.encode_error(None, codes.INVALID_REQUEST, text))
        elif self._chosen is not None:
            await self._chosen.take(line)
        else:
            await self._choose(line)

    async def quiet(self) -> None:
        """Wait until every request is answered."""
        await self._modern.quiet()
        if self._chosen is not None:
            await self._chosen.quiet()

    async def close(self) -> None:
        """Cancel what is still being answered."""
        await self._modern.close()
        if self._chosen is not None:
            await self._chosen.close()

    async def _choose(self, line: bytes) -> None:
        try:
            request = decode_incoming(line)
        except jsonrpc.Malformed:
            await self._modern.take(line)  # which says what is wrong, and passes over notifications
            return
        says_version = (
            request.meta is not msgspec.UNSET and request.meta.protocol_version is not msgspec.UNSET
        )
        if request.method == "initialize" or not (says_version or request.method == _PROBE):
            from longreach_gateway.stdio.legacy import (
                Legacy,
            )  # here: it needs the SDK, and the time to load it

            self._chosen = Legacy(self._front, self._output)
            await self._chosen.take(line)
            return
        if request.method != _PROBE:
            self._chosen = self._modern
        await self._modern.take(line)


async def serve(front: LateFront, max_line: int) -> None:
    """Answer what comes in on standard input, until it ends, a signal comes, or nobody reads the answers.

    Args:
        front: the mesh; opened and closed here.
        max_line: bytes of one message.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        forks.hear(asyncio.get_running_loop(), number, stop.set)
    in_descriptor, out_descriptor = take_standard_streams()
    output = Output(out_descriptor, stop.set)
    eras = Eras(front, output)
    tasks = TaskSet("stdio")
    front.open()
    try:
        reading = tasks.spawn(_read(Input(in_descriptor, max_line), eras), name="input")
        stopping = tasks.spawn(stop.wait(), name="stop")
        _ = await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            answering = tasks.spawn(eras.quiet(), name="last answers")
            _ = await asyncio.wait(
                (answering, stopping), timeout=_LAST_ANSWERS_S, return_when=asyncio.FIRST_COMPLETED
            )
    finally:
        await eras.close()
        await tasks.close()
        await output.close(_LAST_BYTES_S)
        await front.close()
        if output.dropped:
            event(_log, "notes.dropped", logging.WARNING, count=output.dropped)


async def _read(source: Input, eras: Eras) -> None:
    async for line in source.lines():
        await eras.take(line)
