"""One request inside an SDK server: what its handler says on the way goes to the mesh."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import anyio
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.transport_context import TransportContext

from longreach.observe import event
from longreach.wire.values import encode

if TYPE_CHECKING:
    from mcp.shared.dispatcher import CallOptions

    from longreach.actor.context import Context

_log = logging.getLogger("longreach.bridge")
_OF_THE_CALL = frozenset({"notifications/progress", "notifications/message"})
_TRANSPORT = TransportContext(kind="longreach", can_send_request=False)

Told = Callable[[str, Mapping[str, Any]], None]
"""Is given the method and params of a notification that is about the server, and not about a call."""


class Outside:
    """The server's channel beside its calls: changes are taken note of; nobody can be asked anything.

    Args:
        told: of each notification.
    """

    def __init__(self, told: Told) -> None:
        self._told = told

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Refuse: in this era a server asks its client within results only."""
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Take note of a change."""
        self._told(method, params or {})


class Exchange(Outside):
    """The SDK's `DispatchContext` for one request.

    Args:
        told: of each notification that is not about this call.
        context: the call in the mesh; None: nobody hears what is said on the way.
        request_id: of the request.
        progress_token: with which progress is reported; None: it is not.
    """

    def __init__(
        self,
        told: Told,
        context: Context | None = None,
        request_id: str | int = 0,
        progress_token: str | int | None = None,
    ) -> None:
        super().__init__(told)
        self._context = context
        self._progress_token = progress_token
        self.request_id: str | int | None = request_id
        self.transport = _TRANSPORT
        self.can_send_request = False
        self.message_metadata = None
        self.cancel_requested = anyio.Event()

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Send a notification of the call to its caller; take note of any other."""
        if method not in _OF_THE_CALL:
            self._told(method, params or {})
        elif self._context is not None:
            self._send(method, params or {})

    def move(self, context: Context, progress_token: str | int | None) -> None:
        """The handler goes on, in another request of its caller."""
        self._context = context
        self._progress_token = progress_token

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the caller how far the work has come, if it asked for that."""
        if self._progress_token is None:
            return
        said = {
            "progressToken": self._progress_token,
            "progress": progress,
            "total": total,
            "message": message,
        }
        await self.notify(
            "notifications/progress", {key: value for key, value in said.items() if value is not None}
        )

    def _send(self, method: str, params: Mapping[str, Any]) -> None:
        assert self._context is not None
        try:
            data = encode({"jsonrpc": "2.0", "method": method, "params": params})
        except (TypeError, ValueError) as error:  # what a handler says need not have a JSON form
            event(_log, "note.unencodable", logging.WARNING, method=method, reason=str(error))
            return
        _ = self._context.send(data)
