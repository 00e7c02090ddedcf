"""Everything that a front offers, as a value, made from a catalog; what has not changed is shared. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from longreach.front.shelf import KINDS, Item, Kind, Shelf, build_shelf

if TYPE_CHECKING:
    from longreach.front.filters import Filters
    from longreach.policy.catalog import Catalog, Instance
    from longreach.wire.mcp import CacheScope


class Offering(msgspec.Struct, frozen=True, kw_only=True):
    """What a front offers.

    Attributes:
        shelves: by server.
        lists: of each kind, in the order in which they are listed.
        by_name: of each kind, by the offered name or URI.
        unknown: the servers that announce what is not known yet; they may offer more.
        ttl_ms: how long a list may be kept.
        cache_scope: whether a list may be shared between callers.
    """

    shelves: Mapping[str, Shelf]
    lists: Mapping[Kind, Sequence[Item]]
    by_name: Mapping[Kind, Mapping[str, Item]]
    unknown: frozenset[str]
    ttl_ms: int
    cache_scope: CacheScope

    def find(self, kind: Kind, offered: str) -> Item | None:
        """The item that is offered under that name or URI."""
        return self.by_name[kind].get(offered)


def build_offering(
    catalog: Catalog, filters: Filters, *, server: str | None = None, before: Offering | None = None
) -> Offering:
    """What is offered of `catalog`; `before` itself where that is the same.

    Args:
        catalog: what is known.
        filters: what may be seen.
        server: one server, under its own names; None: all, under names of the whole mesh.
        before: what was offered until now.
    """
    places: dict[str, list[Instance]] = {}
    for instance in catalog.instances.values():
        name = instance.server
        if server in (None, name) and filters.allow_server(name) and filters.allow_region(instance.region):
            places.setdefault(name, []).append(instance)
    old = before.shelves if before is not None else {}
    shelves: dict[str, Shelf] = {}
    for name, instances in sorted(places.items()):
        shelf = build_shelf(catalog, instances, filters, renamed=server is None, before=old.get(name))
        if shelf is not None:
            shelves[name] = shelf
    unknown = frozenset(name for name in places if name not in shelves or not shelves[name].whole)
    if before is not None and before.unknown == unknown and _same(old, shelves):
        return before
    lists: dict[Kind, list[Item]] = {
        kind: [item for shelf in shelves.values() for item in shelf.items[kind].values()] for kind in KINDS
    }
    return Offering(
        shelves=shelves,
        lists=lists,
        by_name={kind: {item.offered: item for item in items} for kind, items in lists.items()},
        unknown=unknown,
        ttl_ms=0 if unknown else min((shelf.ttl_ms for shelf in shelves.values()), default=0),
        cache_scope="private" if any(shelf.private for shelf in shelves.values()) else "public",
    )


def _same(old: Mapping[str, Shelf], new: Mapping[str, Shelf]) -> bool:
    return old.keys() == new.keys() and all(old[name] is shelf for name, shelf in new.items())
