"""The messages of a foreign server, and one request at it.

A request outlives whoever waits for it: a call of the mesh may end by asking its caller something, and
another one, with the answer, goes on waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from longreach.wire.jsonrpc import RequestId, RpcError

_MAX_ASKS = 16
NOT_JSON = "the server sent an answer that is not JSON"

Params = dict[str, Raw]
"""`params` of a message: its members as JSON bytes, so that what passes through is changed nowhere."""


class Message(msgspec.Struct):
    """Any JSON-RPC message."""

    id: RequestId | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Params = {}
    result: Raw | UnsetType = UNSET
    error: RpcError | UnsetType = UNSET


class Head(msgspec.Struct):
    """As much of a message as says which request it answers."""

    id: RequestId
    method: Raw | UnsetType = UNSET


class Ask(NamedTuple):
    """What the foreign server asks its client."""

    id: RequestId
    method: str
    params: Params


Note = Callable[[str, Params], None]

decode_message = msgspec.json.Decoder(Message).decode
decode_head = msgspec.json.Decoder(Head).decode


class ForeignCall:
    """One request at the foreign server.

    Attributes:
        id: its JSON-RPC id there.
        method: the MCP method.
        sent: it may have reached the foreign server.
        on_note: hears of progress and log messages while somebody waits.
        may_ask: there is a caller who can be asked.
    """

    def __init__(self, request_id: int, method: str) -> None:
        self.id = request_id
        self.method = method
        self.sent = False
        self.on_note: Note | None = None
        self.may_ask = False
        self._asks: deque[Ask] = deque()
        self._outcome: Raw | BaseException | None = None
        self._changed = asyncio.Event()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._outcome is not None

    async def next(self) -> Raw | Ask:
        """What the foreign server asks, or the result; what was asked first comes first.

        Raises:
            ProtocolError: it ended in a JSON-RPC error.
            Lost: the foreign server is gone.
        """
        while not self._asks and self._outcome is None:
            self._changed.clear()
            await self._changed.wait()
        if self._outcome is None:
            return self._asks.popleft()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def ask(self, ask: Ask) -> bool:
        """Ask whoever waits for it; False: nobody can be asked, or too much is asked at once."""
        if not self.may_ask or len(self._asks) >= _MAX_ASKS or self.done:
            return False
        self._asks.append(ask)
        self._changed.set()
        return True

    def note(self, method: str, params: Params) -> None:
        """Tell whoever waits for it."""
        if self.on_note is not None and not self.done:
            self.on_note(method, params)

    def end(self, outcome: Raw | BaseException) -> None:
        """Its result, or what it ended in; the first one counts."""
        if self._outcome is None:
            self._outcome = outcome
            self._changed.set()


def own_id(answered: RequestId) -> RequestId:
    """One of our ids, which are numbers; some servers answer with the number as text."""
    return (
        int(answered) if isinstance(answered, str) and answered.isascii() and answered.isdigit() else answered
    )
