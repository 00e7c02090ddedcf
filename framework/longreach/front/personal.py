"""What each caller may see: listings of servers that are private are asked of a node, for this caller.

The catalog knows all that such a server has; who may have what of it, only the server knows. What cannot be
asked is not shown: a server that does not answer is left out, and empties no list but its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from longreach.client.listed import names_listed
from longreach.errors import LongreachError
from longreach.front.offering import Offering
from longreach.front.shelf import Item, Kind, Shelf
from longreach.front.source import Source
from longreach.observe import event

_log = logging.getLogger("longreach.front")
_METHODS: dict[Kind, str] = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "templates": "resources/templates/list",
}
ASK_S = 5.0
"""How long one server may take."""
KEEP_S = 12.0
"""What was asked is kept for so long at most, and no longer than the server allows."""
MAX_KEPT = 2000
_AT_ONCE = 16


class Claims(Protocol):
    """The claims of a user, which a gateway vouches for."""

    @property
    def key(self) -> Hashable:
        """What tells them from others."""
        ...

    def headers(self, server: str) -> dict[str, str]:
        """The headers that carry them to a server."""
        ...


class Who(NamedTuple):
    """Who asks."""

    caller: str | None
    claims: Claims | None

    @property
    def key(self) -> Hashable:
        """What tells them from others."""
        return self.caller, None if self.claims is None else self.claims.key


class _Kept(NamedTuple):
    shelf: Shelf
    until: float
    names: frozenset[str]


class Personal:
    """Asks servers that are private what a caller may see, and keeps that for a while.

    Args:
        source: the mesh.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def items(self, offering: Offering, kind: Kind, who: Who) -> Sequence[Item]:
        """Those of a kind that `who` may see."""
        everything = offering.lists[kind]
        if offering.cache_scope == "public":
            return everything
        private = [shelf for shelf in offering.shelves.values() if shelf.private and shelf.items[kind]]
        if not private:
            return everything
        seen = await asyncio.gather(*(self._seen(shelf, kind, who) for shelf in private))
        names = {shelf.server: some for shelf, some in zip(private, seen, strict=True)}
        return [item for item in everything if item.server not in names or item.name in names[item.server]]

    async def _seen(self, shelf: Shelf, kind: Kind, who: Who) -> frozenset[str]:
        key = (shelf.server, kind, who.key)
        loop = asyncio.get_running_loop()
        kept = self._kept.get(key)
        if kept is not None and kept.shelf is shelf and loop.time() < kept.until:
            return kept.names
        try:
            async with asyncio.timeout(ASK_S), self._room:
                names = await self._ask(shelf.server, kind, who)
        except (LongreachError, TimeoutError) as error:
            event(_log, "listing.unasked", logging.WARNING, server=shelf.server, error=type(error).__name__)
            return frozenset()
        keep_s = min(shelf.ttl_ms / 1000, KEEP_S)
        if keep_s > 0:
            self._kept[key] = _Kept(shelf, loop.time() + keep_s, names)
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return names

    async def _ask(self, server: str, kind: Kind, who: Who) -> frozenset[str]:
        method = _METHODS[kind]
        headers = None if who.claims is None else partial(who.claims.headers, server)

        async def ask(request: bytes) -> bytes:
            return await self._source.forward(
                server, request, method=method, name=None, caller=who.caller, timeout_s=ASK_S, headers=headers
            )

        return await names_listed(method, ask)
