"""What a front needs of the mesh; `longreach.Mesh` has it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from longreach.policy.catalog import Catalog

OnNote = Callable[[bytes], None]
"""Called with the bytes of a notification that belongs to a request; it must not wait."""
MakeHeaders = Callable[[], dict[str, str]]
"""Makes the NATS headers of one attempt."""
Stop = Callable[[], None]
"""Ends what the call that returned it began."""


class Source(Protocol):
    """The mesh, as a front sees it."""

    @property
    def catalog(self) -> Catalog:
        """What is known of the mesh."""
        ...

    async def learn(self, server: str | None = None) -> Catalog:
        """The catalog, after fetching what is announced (of `server`) and not known yet."""
        ...

    async def forward(
        self,
        server: str,
        request: bytes,
        *,
        method: str,
        name: str | None,
        caller: str | None = None,
        on_note: OnNote | None = None,
        timeout_s: float | None = None,
        to_node: str | None = None,
        headers: MakeHeaders | None = None,
    ) -> bytes:
        """Send a request as it is to a server, and return the response as it is."""
        ...

    def options(self, *, residency: Sequence[str] | None) -> Source:
        """The same, whose requests go to these regions only."""
        ...

    def on_catalog(self, listener: Callable[[Catalog, Catalog], None]) -> Stop:
        """Call `listener` with the catalog before and after each change."""
        ...

    def on_updated(self, server: str, uri: str, listener: Callable[[], None]) -> Stop:
        """Call `listener` whenever a resource of `server` has changed, or may have during an outage."""
        ...

    def on_close(self, listener: Callable[[], None]) -> Stop:
        """Call `listener` when the mesh closes."""
        ...
