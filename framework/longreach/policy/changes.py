"""Which lists have changed from one catalog to the next, each change once.

A change comes to the replicas of a server one after the other. It is told when the first has it, and not
again when the others follow: what counts is that something is offered which was not before, in that form,
or that a name is offered by nobody any more. Source: MCP 2026-07-28 (list_changed); docs/binding.md 13.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from longreach.policy.offers import Kind, Offers

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
        self._stamps: dict[str, frozenset[tuple[str, bool]]] = {}

    def update(self, catalog: Offers) -> list[ListChanged]:
        """What has changed since the last `update`; to the first one everything is new.

        While it is not fetched yet what a node offers, nothing that is missing is taken for gone.
        """
        stamps = self._read_stamps(catalog)
        changed = []
        for server in sorted(self._stamps.keys() | stamps.keys()):
            stamp = stamps.get(server, frozenset())
            if stamp == self._stamps.get(server):
                continue
            is_whole = all(fetched for _, fetched in stamp)
            manifests = [catalog.names[digest] for digest, fetched in stamp if fetched]
            for kind in self._kinds:
                now = frozenset(
                    pair for names in manifests for part in _PARTS[kind] for pair in names.of(part).items()
                )
                if self._compare(server, kind, now, is_whole):
                    changed.append(ListChanged(server, kind))
        self._stamps = stamps
        return changed

    def _read_stamps(self, catalog: Offers) -> dict[str, frozenset[tuple[str, bool]]]:
        """By server, the manifests that are announced, and whether what is in them was fetched."""
        found: dict[str, set[tuple[str, bool]]] = {}
        for instance in catalog.instances.values():
            if self._servers is None or instance.server in self._servers:
                is_fetched = instance.digest in catalog.names
                found.setdefault(instance.server, set()).add((instance.digest, is_fetched))
        return {server: frozenset(stamp) for server, stamp in found.items()}

    def _compare(self, server: str, kind: ListKind, now: Pairs, is_whole: bool) -> bool:
        before = self._known.get((server, kind), _NONE)
        gone = {name for name, _ in before} - {name for name, _ in now} if is_whole else set()
        after = now if is_whole else now | before
        if after:
            self._known[server, kind] = after
        else:
            self._known.pop((server, kind), None)
        return bool(gone or now - before)
