"""Which part of the mesh is offered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

TAGS_KEY = "longreach/tags"
"""In a definition's `_meta`: the tags of what it defines, and of its server."""


class _Meta(msgspec.Struct):
    tags: list[str] = msgspec.field(name=TAGS_KEY, default_factory=list)


class _Tagged(msgspec.Struct):
    meta: _Meta = msgspec.field(name="_meta", default_factory=_Meta)


_tagged = msgspec.json.Decoder(_Tagged)


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What may be seen and called; whatever is left out has no bound. `Filters.of` takes any iterables.

    Args:
        servers: of these servers only.
        tags: only what has one of these tags, itself or by its server.
        regions: only what nodes of these regions offer; calls go to these regions only.
    """

    servers: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    regions: frozenset[str] | None = None

    @classmethod
    def of(
        cls, servers: Iterable[str] = (), tags: Iterable[str] = (), regions: Iterable[str] = ()
    ) -> Filters:
        """Filters by what is named; naming nothing of a kind sets no bound."""
        return cls(
            servers=frozenset(servers) or None,
            tags=frozenset(tags) or None,
            regions=frozenset(regions) or None,
        )

    def allow_server(self, server: str) -> bool:
        """Whether anything of `server` may be seen."""
        return self.servers is None or server in self.servers

    def allow_region(self, region: str) -> bool:
        """Whether what is offered there may be seen."""
        return self.regions is None or region in self.regions

    def allow_definition(self, data: bytes, server_tags: Iterable[str]) -> bool:
        """Whether what the definition `data` defines may be seen."""
        if self.tags is None or not self.tags.isdisjoint(server_tags):
            return True
        return not self.tags.isdisjoint(_tags_of(data))


def _tags_of(data: bytes) -> list[Any]:
    try:
        return _tagged.decode(data).meta.tags
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # tags of another shape are none


EVERYTHING = Filters()
"""No bounds."""
