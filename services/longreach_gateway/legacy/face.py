"""What this package asks of the mesh: `longreach.front.Front` has it, and the double of the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from longreach.front.personal import Claims
from longreach.wire.incoming import Incoming


class Answered(Protocol):
    """A response."""

    @property
    def data(self) -> bytes:
        """The JSON-RPC response."""
        ...

    @property
    def code(self) -> int | None:
        """The code of its error; None where it has a result."""
        ...


class Face(Protocol):
    """A mesh, or one server of it, as one MCP server of 2026-07-28."""

    async def handle(
        self,
        request: Incoming,
        *,
        caller: str | None = None,
        on_note: Callable[[bytes], None] | None = None,
        timeout_s: float | None = None,
        claims: Claims | None = None,
    ) -> Answered:
        """The answer to a request. Never raises for what the request or the mesh does wrong."""
        ...

    def listen(self, request: Incoming, *, caller: str | None = None) -> AsyncIterator[bytes]:
        """The messages of a subscription, its acknowledgment first."""
        ...
