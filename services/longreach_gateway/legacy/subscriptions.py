"""What a legacy client is told without having asked: changed lists, updated resources.

Each subscription is a `subscriptions/listen` of its own on the mesh, which is begun again where it broke: a
client of this era would not know that it did.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from mcp.shared.exceptions import MCPError

from longreach.observe import event
from longreach.policy.backoff import Backoff
from longreach.tasks import TaskSet
from longreach.wire import codes, jsonrpc
from longreach.wire.incoming import Incoming, decode_incoming
from longreach_gateway.legacy import eras
from longreach_gateway.legacy.face import Face
from longreach_gateway.legacy.limits import Limits
from longreach_gateway.legacy.notes import Send, read_notification

_log = logging.getLogger("longreach.gateway.legacy")
_LISTEN = "subscriptions/listen"
_ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
_SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
_ACKNOWLEDGE_S = 10.0
_AGAIN = Backoff(first_s=0.5, max_s=30.0)
_LISTS = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
_UPDATED = "notifications/resources/updated"


class Subscriptions:
    """Those of one client.

    Args:
        face: the mesh.
        client: who is told.
        caller: its principal, or None.
        limits: of the client.
        send: passes a notification on to it.
        next_id: makes the ids of requests to the mesh.
    """

    def __init__(
        self,
        face: Face,
        client: eras.Client,
        caller: str | None,
        limits: Limits,
        send: Send,
        next_id: Callable[[], int],
    ) -> None:
        self._face = face
        self._client = client
        self._caller = caller
        self._limits = limits
        self._send = send
        self._next_id = next_id
        self._tasks = TaskSet("subscriptions")
        self._resources: dict[str, asyncio.Task[None]] = {}
        self._watching = False

    def __len__(self) -> int:
        return len(self._resources)

    def watch_lists(self) -> None:
        """Tell the client of changed lists from now on."""
        if not self._watching:
            self._watching = True
            wanted = dict.fromkeys(_LISTS, True)
            self._tasks.start(self._keep(wanted, None), name="lists")

    async def add(self, uri: str) -> None:
        """Tell the client of updates of `uri`; returns once that has begun.

        Raises:
            MCPError: it cannot be.
        """
        if uri in self._resources:
            return
        if len(self._resources) >= self._limits.subscriptions:
            text = f"{self._limits.subscriptions} resources are subscribed to; unsubscribe from one first"
            raise MCPError(codes.INVALID_PARAMS, text)
        begun: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        task = self._tasks.spawn(self._keep({"resourceSubscriptions": [uri]}, begun), name=f"listen {uri}")
        self._resources[uri] = task
        try:
            async with asyncio.timeout(_ACKNOWLEDGE_S):
                granted = await begun
            if uri not in (granted or ()):
                raise MCPError(codes.INVALID_PARAMS, f"the server offers no subscription to {uri}")
        except BaseException as error:
            self.remove(uri)
            if isinstance(error, TimeoutError):
                text = "the mesh did not confirm the subscription in time; try again"
                raise MCPError(codes.INTERNAL_ERROR, text) from None
            raise

    def remove(self, uri: str) -> None:
        """Tell the client no more of updates of `uri`."""
        task = self._resources.pop(uri, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """End them all."""
        await self._tasks.close()
        self._resources.clear()

    async def _keep(self, wanted: Mapping[str, Any], begun: asyncio.Future[Any] | None) -> None:
        """Listen, and again where that ends; `begun` gets the URIs granted, or why there are none."""
        attempt = 0
        while True:
            request = eras.modern_request(self._next_id(), _LISTEN, {"notifications": wanted}, self._client)
            try:
                if await self._listen(decode_incoming(request), wanted, begun, again=attempt > 0):
                    attempt = 0
            except MCPError as error:
                if begun is not None and not begun.done():
                    begun.set_exception(error)
                    return
            except Exception as error:  # noqa: BLE001 - a subscription outlives what goes wrong with one stream
                event(_log, "listen.failed", logging.WARNING, error=type(error).__name__)
            attempt += 1
            await asyncio.sleep(_AGAIN.delay(attempt, random.random))

    async def _listen(
        self, request: Incoming, wanted: Mapping[str, Any], begun: asyncio.Future[Any] | None, *, again: bool
    ) -> bool:
        """Pass on what one stream says, until it ends; whether it had begun."""
        stream = self._face.listen(request, caller=self._caller)
        acknowledged = False
        try:
            async for data in stream:
                message = read_notification(data)
                if message is None:
                    self._ended(data)
                    return acknowledged
                method, params = message
                if method != _ACKNOWLEDGED:
                    await self._send(method, _without_subscription(params))
                    continue
                acknowledged = True
                granted = (params or {}).get("notifications")
                if begun is not None and not begun.done():
                    begun.set_result(
                        granted.get("resourceSubscriptions") if isinstance(granted, dict) else ()
                    )
                elif again:
                    await self._catch_up(wanted)
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()
        return acknowledged

    @staticmethod
    def _ended(data: bytes) -> None:
        """The stream's response: it ended in order, or with an error."""
        response = jsonrpc.decode_response(data)
        if isinstance(response.error, jsonrpc.RpcError):
            raise MCPError(response.error.code, response.error.message)

    async def _catch_up(self, wanted: Mapping[str, Any]) -> None:
        """What changed while nobody listened is not known; to say so once too often does no harm."""
        for kind, method in _LISTS.items():
            if wanted.get(kind):
                await self._send(method, None)
        for uri in wanted.get("resourceSubscriptions", ()):
            await self._send(_UPDATED, {"uri": uri})


def _without_subscription(params: dict[str, Any] | None) -> dict[str, Any] | None:
    """`params` without the id of a request that the client never made."""
    if params is None or not isinstance(params.get("_meta"), dict):
        return params
    meta = {key: value for key, value in params["_meta"].items() if key != _SUBSCRIPTION_ID}
    rest = {name: value for name, value in params.items() if name != "_meta"}
    return {**rest, "_meta": meta} if meta else rest or None
