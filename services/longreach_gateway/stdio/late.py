"""A front for a mesh that may come later, go away, and come back.

A host starts its servers when it starts itself, whether a broker runs by then or not. So what can be said
without a mesh is said, and what cannot is an error that says what is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from longreach import __version__
from longreach.client.connect import NO_EMBEDDED, connect, pinned
from longreach.errors import BrokerUnavailable, LongreachError
from longreach.front import UNAVAILABLE, Answer, Front
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.transport.embedded import find_running
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions
from longreach.wire import codes
from longreach.wire.jsonrpc import encode_error, encode_result, validate_meta

if TYPE_CHECKING:
    from longreach.client.mesh import Mesh
    from longreach.front.personal import Claims
    from longreach.wire.incoming import Incoming

_log = logging.getLogger("longreach.stdio")
WAIT_S = 3.0
"""How long a request waits for a mesh that is not there yet: less than hosts wait for their servers."""
_AGAIN_S = 1.0
_ATTEMPT_S = 5.0
_LOOK_EVERY_S = 3600.0
"""The token of an embedded broker stays; looking for it may take a second."""
_NEEDS_NODE = frozenset({"tools/call", "prompts/get", "resources/read", "completion/complete"})
_EVERYTHING = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
    "logging": {},
}

OnNote = Callable[[bytes], None]


class LateFront:
    """`Front`, as soon as there is a mesh.

    Args:
        options: how to reach a broker; without URLs, the embedded broker of this user, whenever it is there.
        client: further arguments of `longreach.connect`.
        front: arguments of `Front`.
    """

    def __init__(self, options: NatsOptions, client: dict[str, Any], front: dict[str, Any]) -> None:
        self._options = options
        self._client = client
        self._arguments = front
        self._tasks = TaskSet("mesh")
        self._front: Front | None = None
        self._mesh: Mesh | None = None
        self._there = asyncio.Event()
        self._why = "no broker has answered yet"

    def open(self) -> None:
        """Look for a mesh from now on."""
        self._tasks.start(self._connect(), name="connect")

    async def close(self) -> None:
        """Leave the mesh."""
        await self._tasks.close()
        if self._front is not None:
            self._front.close()
        if self._mesh is not None:
            await self._mesh.close()

    async def handle(
        self,
        request: Incoming,
        *,
        caller: str | None = None,
        on_note: OnNote | None = None,
        timeout_s: float | None = None,
        claims: Claims | None = None,
    ) -> Answer:
        """As `Front.handle`; while there is no mesh, an error that says why."""
        front = await self._wait()
        if front is not None and (request.method not in _NEEDS_NODE or await self._is_up()):
            return await front.handle(
                request, caller=caller, on_note=on_note, timeout_s=timeout_s, claims=claims
            )
        error = validate_meta(request.meta)
        if error is not None:
            return Answer(encode_error(request.id, error.code, error.message, error.data), error.code)
        if request.method == "server/discover":
            return Answer(encode_result(request.id, _discovered(self._arguments.get("server"))), None)
        text = f"there is no connection to the mesh; it is tried again and again: {self._why}"
        data = {"reason": "no_broker", "delivered": "no"}
        return Answer(encode_error(request.id, UNAVAILABLE, text, data), UNAVAILABLE)

    async def listen(self, request: Incoming, *, caller: str | None = None) -> AsyncGenerator[bytes, None]:
        """As `Front.listen`; begins once there is a mesh."""
        await self._there.wait()
        assert self._front is not None, "it is there"
        async with aclosing(self._front.listen(request, caller=caller)) as stream:
            async for data in stream:
                yield data

    async def _wait(self) -> Front | None:
        if self._front is None:
            try:
                async with asyncio.timeout(WAIT_S):
                    await self._there.wait()
            except TimeoutError:
                return None
        return self._front

    async def _is_up(self) -> bool:
        """Whether there is a broker just now; the mesh itself would wait for one until the deadline."""
        assert self._mesh is not None, "there is a front"
        if not self._mesh.is_up:
            try:
                await self._mesh.place.link.wait_up(WAIT_S)
            except BrokerUnavailable as error:
                self._why = str(error)
                return False
        return True

    async def _connect(self) -> None:
        """Connect once; from then on the link itself comes back whenever a broker does."""
        self._mesh = await connect(link=await self._open_link(), **self._client)
        self._front = Front(self._mesh, version=__version__, **self._arguments)
        self._there.set()
        event(_log, "mesh.found", broker=self._mesh.url)

    async def _open_link(self) -> NatsLink:
        while True:
            try:
                return await NatsLink.open(self._options_now, timeout_s=_ATTEMPT_S)
            except LongreachError as error:
                if self._why != str(error):
                    self._why = str(error)
                    event(_log, "mesh.awaited", logging.WARNING, reason=self._why)
                await asyncio.sleep(_AGAIN_S)

    def _options_now(self) -> NatsOptions:
        """How to reach a broker now: an embedded one may come back elsewhere, with another token."""
        if self._options.urls:
            return pinned(self._options, self._client.get("residency"))
        found = find_running()
        if found is None:
            raise BrokerUnavailable(NO_EMBEDDED)
        return msgspec.structs.replace(
            self._options, urls=(found.url,), token=found.token, renew_every_s=_LOOK_EVERY_S
        )


def _discovered(server: str | None) -> dict[str, Any]:
    """What can be said of a server without asking it; nobody keeps it."""
    info = {"name": server or "longreach", "version": __version__ if server is None else "0"}
    return {
        "supportedVersions": [codes.PROTOCOL_VERSION],
        "capabilities": _EVERYTHING,
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": info},
        "resultType": "complete",
    }
