"""Everything that a front offers, as a value, made from a catalog; what has not changed is shared. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from longreach.front.shelf import KINDS, Item, Kind, Shelf, build_shelf

if TYPE_CHECKING:
    from longreach.front.filters import Filters
    from longreach.policy.catalog import Catalog
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
    catalog: Catalog,
    filters: Filters,
    *,
    server: str | None = None,
    before: Offering | None = None,
    changed: Collection[str] | None = None,
) -> Offering:
    """What is offered of `catalog`; `before` itself where that is the same.

    Args:
        catalog: what is known.
        filters: what may be seen.
        server: one server, under its own names; None: all, under names of the whole mesh.
        before: what was offered until now.
        changed: the servers that may not be what they were for `before`; None: any of them.
    """
    old = before.shelves if before is not None else {}
    if before is None or changed is None:
        changed = {*catalog.servers, *old, *(before.unknown if before is not None else ())}
    new: dict[str, Shelf | None] = {}
    unknown = set(before.unknown) if before is not None else set()
    for name in changed:
        if server not in (None, name) or not filters.allow_server(name):
            continue
        unknown.discard(name)
        new[name] = None
        sorts = [sort for sort, _ in catalog.sorts_of(name) if filters.allow_region(sort.region)]
        if sorts:
            shelf = build_shelf(catalog, name, sorts, filters, renamed=server is None, before=old.get(name))
            new[name] = shelf
            if shelf is None or not shelf.whole:
                unknown.add(name)
    if before is not None and before.unknown == unknown and all(old.get(n) is s for n, s in new.items()):
        return before
    every = {**old, **new}
    shelves = {name: shelf for name in sorted(every) if (shelf := every[name]) is not None}
    lists: dict[Kind, list[Item]] = {
        kind: [item for shelf in shelves.values() for item in shelf.items[kind].values()] for kind in KINDS
    }
    return Offering(
        shelves=shelves,
        lists=lists,
        by_name={kind: {item.offered: item for item in items} for kind, items in lists.items()},
        unknown=frozenset(unknown),
        ttl_ms=0 if unknown else min((shelf.ttl_ms for shelf in shelves.values()), default=0),
        cache_scope="private" if any(shelf.private for shelf in shelves.values()) else "public",
    )
