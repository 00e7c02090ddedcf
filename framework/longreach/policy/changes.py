"""Which lists have changed from one catalog to the next, each change once.

A change comes to the replicas of a server one after the other. It is told when the first has it, and not
again when the others follow: what counts is that something is offered which was not before, in that form,
or that a name is offered by nobody any more. Source: MCP 2026-07-28 (list_changed); docs/binding.md 13.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from longreach.policy.offers import Kind, Names, Offers

ListKind = Literal["tools", "prompts", "resources"]
LIST_KINDS: tuple[ListKind, ...] = ("tools", "prompts", "resources")
_PARTS: dict[ListKind, tuple[Kind, ...]] = {
    "tools": ("tools",),
    "prompts": ("prompts",),
    "resources": ("resources", "templates"),
}

Pairs = frozenset[tuple[str, str]]
"""(name, digest) of what is offered."""
_NONE: Pairs = frozenset()


class ListChanged(NamedTuple):
    """A list of a server has changed."""

    server: str
    kind: ListKind


class ListChanges:
    """Compares catalogs, each with those before it.

    Args:
        servers: the servers that are watched; None: all.
        kinds: the lists that are watched.
    """

    def __init__(self, servers: Collection[str] | None, kinds: Collection[ListKind]) -> None:
        self._servers = servers
        self._kinds = kinds
        self._known: dict[tuple[str, ListKind], Pairs] = {}
        self._stamps: dict[str, frozenset[tuple[str, int | None]]] = {}
        self._seen: Offers = Offers()

    def update(self, catalog: Offers) -> list[ListChanged]:
        """What has changed since the last `update`; to the first one everything is new.

        While it is not fetched yet what a node offers, nothing that is missing is taken for gone. Only the
        servers that are not what they were are looked at.
        """
        servers = catalog.servers.changed(self._seen.servers)
        self._seen = catalog
        changed = []
        for server in sorted(servers):
            if self._servers is not None and server not in self._servers:
                continue
            stamp = frozenset((digest, _withheld(catalog, digest)) for digest in catalog.digests_of(server))
            if stamp == self._stamps.get(server):
                continue
            if stamp:
                self._stamps[server] = stamp
            else:
                self._stamps.pop(server, None)
            is_whole = all(withheld == 0 for _, withheld in stamp)
            manifests = [catalog.names[digest] for digest, _ in stamp if digest in catalog.names]
            for kind in self._kinds:
                now = frozenset(
                    pair for names in manifests for part in _PARTS[kind] for pair in names.of(part).items()
                )
                if self._compare(server, kind, now, is_whole):
                    changed.append(ListChanged(server, kind))
        return changed

    def _compare(self, server: str, kind: ListKind, now: Pairs, is_whole: bool) -> bool:
        before = self._known.get((server, kind), _NONE)
        gone = {name for name, _ in before} - {name for name, _ in now} if is_whole else set()
        after = now if is_whole else now | before
        if after:
            self._known[server, kind] = after
        else:
            self._known.pop((server, kind), None)
        return bool(gone or now - before)


def _withheld(catalog: Offers, digest: str) -> int | None:
    """How many definitions of a manifest could not be had; None: it is not known yet what is in it."""
    names: Names | None = catalog.names.get(digest)
    return None if names is None else len(names.withheld)
