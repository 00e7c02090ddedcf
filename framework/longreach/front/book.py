"""What a front offers now: one value, kept as fresh as the catalog."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.errors import LongreachError
from longreach.front.offering import Offering, build_offering

if TYPE_CHECKING:
    from longreach.front.filters import Filters
    from longreach.front.shelf import Item
    from longreach.front.source import Source
    from longreach.policy.catalog import Catalog

LEARN_S = 2.0
"""How long a request waits for what some server has announced and not told yet."""
PATIENCE_S = 5.0
"""For so long after that, nobody waits again for the same servers."""
_MAX_KEPT = 64
_MAX_SCHEMAS = 10_000
_UNREAD: Any = object()


class Book:
    """The offering of one front.

    Args:
        source: the mesh.
        filters: what may be seen.
        server: the one server; None: all.
    """

    def __init__(self, source: Source, filters: Filters, server: str | None) -> None:
        self._source = source
        self._filters = filters
        self._server = server
        self._catalog: Catalog | None = None
        self._offering: Offering | None = None
        self._kept: dict[Any, Any] = {}
        self._schemas: dict[str, Any] = {}
        self._waited_for: frozenset[str] = frozenset()
        self._patient_until = float("-inf")

    def current(self) -> Offering:
        """What is offered, as far as it is known now."""
        catalog = self._source.catalog
        if catalog is not self._catalog or self._offering is None:
            changed = None if self._catalog is None else catalog.changed_servers(self._catalog)
            offering = build_offering(
                catalog, self._filters, server=self._server, before=self._offering, changed=changed
            )
            if offering is not self._offering:
                self._kept = {}
            self._catalog, self._offering = catalog, offering
        return self._offering

    async def learned(self) -> Offering:
        """What is offered, after fetching what is announced; a server that does not tell is left out.

        Raises:
            LongreachError: nothing is known, and nothing can be asked.
        """
        offering = self.current()
        if offering.shelves and not offering.unknown:
            return offering
        now = asyncio.get_running_loop().time()
        if now < self._patient_until and offering.unknown <= self._waited_for:
            return offering
        try:
            async with asyncio.timeout(LEARN_S):
                _ = await self._source.learn(self._server)
        except TimeoutError:
            pass
        except LongreachError:
            if not self.current().shelves:
                raise
        offering = self.current()
        self._waited_for = offering.unknown
        self._patient_until = asyncio.get_running_loop().time() + PATIENCE_S
        return offering

    @property
    def is_there(self) -> bool:
        """Whether any node offers what this front is about."""
        catalog = self._source.catalog
        return any(
            self._filters.allow_server(server)
            and any(self._filters.allow_region(sort.region) for sort, _ in catalog.sorts_of(server))
            for server in (catalog.servers if self._server is None else (self._server,))
        )

    def schema_of(self, item: Item) -> dict[str, Any] | None:
        """The input schema of a tool; read once."""
        known = self._schemas.get(item.digest, _UNREAD)
        if known is _UNREAD:
            if len(self._schemas) >= _MAX_SCHEMAS:
                self._schemas.clear()
            known = self._schemas[item.digest] = msgspec.json.decode(item.data).get("inputSchema")
        return known  # type: ignore[no-any-return]

    def kept(self, key: Any) -> Any:
        """What `keep` kept under `key` for the present offering; None if nothing."""
        _ = self.current()
        return self._kept.get(key)

    def keep(self, key: Any, value: Any) -> None:
        """Keep what was made of the present offering, until it changes."""
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[key] = value
