"""The catalog: what the mesh offers, as an immutable value with a revision, and how it changes.

Announcements make a new catalog out of an old one; when a node was last heard is kept apart, in
`Hearing`, so that a heartbeat changes nothing. Source: docs/binding.md 8.

What a change costs does not depend on the size of the mesh. Everything is kept in persistent maps, which
share what stayed, and what is asked of the whole is counted where it changes: how many instances announce a
manifest, how many manifests of a server were not read yet, which manifests name a definition, and how many
definitions a manifest lacks. A definition is dropped with the last manifest that names it, a manifest with
the last instance that announces it; but while a newer manifest of its server is still to be fetched it stays
(`stale`), since most of what is in it will be named again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from longreach.policy.instances import Hearing, Instance, Key, ServerInstances, key_of
from longreach.policy.liveness import NodeId
from longreach.policy.offers import KINDS, Entry, Found, Kind, Names, Offers
from longreach.policy.persistent import EMPTY, PersistentMap
from longreach.wire.digest import digest as digest_of
from longreach.wire.frames import Announcement
from longreach.wire.manifest import (
    Manifest,
    decode_manifest,
    decode_prompt,
    decode_resource,
    decode_template,
    decode_tool,
)

__all__ = ["SILENT_S", "Catalog", "Entry", "Found", "Hearing", "Instance", "Key", "Moved"]

SILENT_S = 40.0
"""An instance that is not heard of for so long, three heartbeats and a little, is gone."""
_MAX_HOLDERS = 64
"""Of those who have what is missing, so many are named: no more are ever asked for it."""
_DECODERS: dict[Kind, tuple[Callable[[bytes], Any], str]] = {
    "tools": (decode_tool, "name"),
    "prompts": (decode_prompt, "name"),
    "resources": (decode_resource, "uri"),
    "templates": (decode_template, "uri_template"),
}
"""How each kind is read, and what it is called by."""


class Moved(NamedTuple):
    """An instance that is not what it was: None before if it is new, None after if it is gone."""

    before: Instance | None
    after: Instance | None


class Catalog(Offers, frozen=True):
    """What the mesh offers, and how that changes; an older one stays as it was.

    Attributes:
        announced: by manifest digest, the servers whose instances announce it.
        named: by definition digest, the manifests that name it, each with the kinds it is named as.
        lacking_count: by manifest digest, how many of its definitions are still to be fetched.
        stale: by server, manifests that nobody announces any more, kept while a new one is to be fetched.
    """

    announced: PersistentMap[str, PersistentMap[str, None]] = EMPTY
    named: PersistentMap[str, PersistentMap[str, tuple[Kind, ...]]] = EMPTY
    lacking_count: PersistentMap[str, int] = EMPTY
    stale: PersistentMap[str, PersistentMap[str, None]] = EMPTY

    def apply(self, announcement: Announcement) -> Catalog:
        """The catalog after `announcement`; the same object if it says nothing new.

        Args:
            announcement: newer than what was heard before (`Hearing.is_news`).
        """
        server = self.servers.get(announcement.server)
        before = None if server is None else server.instances.get(key_of(announcement))
        if announcement.state == "down":
            return self if before is None else self._moved(before, None)
        labels = tuple(sorted(announcement.labels.items())) if announcement.labels else ()
        after = Instance(
            announcement.server,
            announcement.identity,
            announcement.instance,
            announcement.region,
            announcement.version,
            announcement.digest,
            labels,
            announcement.canary if isinstance(announcement.canary, int) else None,
        )
        return self if before == after else self._moved(before, after)

    def without(self, keys: Iterable[Key]) -> Catalog:
        """The catalog without these instances."""
        catalog = self
        for key in keys:
            server = catalog.servers.get(key[2])
            instance = None if server is None else server.instances.get(key)
            if instance is not None:
                catalog = catalog._moved(instance, None)
        return catalog

    def expire(self, now: float, hearing: Hearing) -> Catalog:
        """The catalog without those that have been silent for too long."""
        limit = now - SILENT_S
        if len(hearing) < self.size:  # some of ours were never heard, or are forgotten
            return self.without([k for k, each in self.instances.items() if hearing.last_heard(each) < limit])
        return self.without(hearing.silent(limit))

    def without_node(self, identity: str, instance: str) -> Catalog:
        """The catalog without a node that is known to be dead."""
        servers = self.nodes.get((identity, instance), ())
        return self.without([(identity, instance, server) for server in servers])

    def changed_servers(self, before: Catalog) -> list[str]:
        """The servers whose instances, or of which what is known, are not what they were in `before`."""
        return self.servers.changed(before.servers)

    def moved(self, before: Catalog) -> dict[Key, Moved]:
        """The instances that are not what they were in `before`; costs only what has changed."""
        found: dict[Key, Moved] = {}
        for name in self.servers.changed(before.servers):
            old: ServerInstances | None = before.servers.get(name)
            new: ServerInstances | None = self.servers.get(name)
            was = EMPTY if old is None else old.instances
            now = EMPTY if new is None else new.instances
            for key in now.changed(was):
                one = Moved(was.get(key), now.get(key))
                if one.before != one.after:  # it may have left and come back meanwhile
                    found[key] = one
        return found

    def lacks(self, server: str) -> bool:
        """Whether anything that a server announces is still to be fetched."""
        known: ServerInstances | None = self.servers.get(server)
        return known is not None and known.unknown > 0

    def missing(self, servers: Collection[str]) -> list[tuple[str, tuple[NodeId, ...]]]:
        """(digest, who has it) of what is not fetched yet of `servers`; at most 64 who have it are named."""
        holders: dict[str, tuple[NodeId, ...]] = {}
        for name in servers:
            server: ServerInstances | None = self.servers.get(name)
            if server is None:
                continue
            for announced in server.digests:
                if announced in self.names:
                    continue
                manifest = self.manifests.get(announced)
                wanted = [announced] if manifest is None else manifest.digests
                lacking = [each for each in wanted if not self._is_settled(each)]
                if lacking:
                    nodes = server.holders(announced, _MAX_HOLDERS)
                    for each in dict.fromkeys(lacking):
                        known = holders.get(each, ())
                        holders[each] = nodes if not known else (*known, *nodes)[:_MAX_HOLDERS]
        return list(holders.items())

    def with_blobs(self, blobs: Mapping[str, bytes]) -> Catalog:
        """The catalog with what was fetched; what has another digest, or nobody asked for, is left out.

        A node that announces nonsense hurts nobody but its own callers: a manifest that is none is left out,
        a definition that is none is kept in mind as broken, and the others of its server are offered.
        """
        whole = {digest: data for digest, data in blobs.items() if digest_of(data) == digest}
        edit = _Edit(self)
        for digest, data in whole.items():
            if digest in self.announced and digest not in self.manifests:
                manifest = _read(decode_manifest, data)
                if manifest is not None:
                    edit.add_manifest(digest, manifest)
        for digest, data in whole.items():
            edit.add_definition(digest, data)
        return edit.done()

    def with_withheld(self, digests: Iterable[str]) -> Catalog:
        """The catalog in which these definitions are not to be had; the others of a manifest are offered.

        They may still come (`with_blobs`). What is no definition that is missing is left out.
        """
        edit = _Edit(self)
        for digest in digests:
            edit.withhold(digest)
        return edit.done()

    def bytes_of(self, server: str) -> int:
        """How much of the definitions of a server is here."""
        known: ServerInstances | None = self.servers.get(server)
        digests = [] if known is None else list(known.digests)
        manifests = [self.manifests[digest] for digest in digests if digest in self.manifests]
        manifests += [self.manifests[digest] for digest in self.stale.get(server, ())]
        named = {each for manifest in manifests for each in manifest.digests}
        return sum(len(self.raw[digest]) for digest in named if digest in self.raw)

    def _is_settled(self, digest: str) -> bool:
        """Whether a definition is here, or it is known that it will not be."""
        return digest in self.raw or digest in self.unusable or digest in self.withheld

    def _moved(self, before: Instance | None, after: Instance | None) -> Catalog:
        edit = _Edit(self)
        edit.move(before, after)
        return edit.done()


class _Edit:
    """One change of a catalog, step by step; `done` makes the new value."""

    def __init__(self, catalog: Catalog) -> None:
        self._before = catalog
        self._revision = catalog.revision + 1
        self._values: dict[str, Any] = {}
        self._settled: dict[str, None] = {}
        """Servers that no longer wait for a manifest: what was kept for their sake may go."""

    def done(self) -> Catalog:
        """The catalog after the change; the same object if nothing was changed."""
        for server in self._settled:
            known: ServerInstances | None = self._of("servers").get(server)
            if known is None or not known.unread:
                for digest in self._of("stale").get(server, ()):
                    if digest not in self._of("announced"):
                        self._drop_manifest(digest)
                self._set("stale", self._of("stale").without(server))
        if not self._values:
            return self._before
        return msgspec.structs.replace(self._before, revision=self._revision, **self._values)

    def move(self, before: Instance | None, after: Instance | None) -> None:
        """An instance is not what it was."""
        told = after or before
        assert told is not None
        name, key = told.server, told.key
        server: ServerInstances = self._of("servers").get(name) or ServerInstances(name)
        instances, sorts, digests = server.instances, server.sorts, server.digests
        unread, unknown = server.unread, server.unknown
        if after is None:
            instances = instances.without(key)
        else:
            instances = instances.having(key, after)
            sorts = _more(sorts, after.sort)
            digests = _more(digests, after.digest)
            if digests[after.digest] == 1:
                self._announce(after.digest, name)
                unread += after.digest not in self._of("manifests")
                unknown += after.digest not in self._of("names")
        if before is not None:
            sorts = _fewer(sorts, before.sort)
            digests = _fewer(digests, before.digest)
            if before.digest not in digests:
                unread -= before.digest not in self._of("manifests")
                unknown -= before.digest not in self._of("names")
                self._retract(before.digest, name)
        if unread == 0:
            self._settled[name] = None
        if instances:
            changed = ServerInstances(name, instances, sorts, digests, unread, unknown, self._revision)
            self._set("servers", self._of("servers").having(name, changed))
        else:
            self._set("servers", self._of("servers").without(name))
        if before is None or after is None:
            self._place(key, is_there=after is not None)
            self._set("size", self._of("size") + (1 if before is None else -1))
        if after is not None and digests[after.digest] == 1:  # one that was kept may be announced again
            kept = self._of("lacking_count").get(after.digest)
            if kept == 0 and after.digest not in self._of("names"):
                self._complete(after.digest)

    def add_manifest(self, digest: str, manifest: Manifest) -> None:
        """A manifest has come."""
        self._set("manifests", self._of("manifests").having(digest, manifest))
        named = self._of("named")
        kinds: dict[str, tuple[Kind, ...]] = {}
        for kind in KINDS:
            for each in getattr(manifest, kind):
                kinds[each] = (*kinds.get(each, ()), kind)
        lacking = 0
        for each, as_what in kinds.items():
            named = named.having(each, named.get(each, EMPTY).having(digest, as_what))
            lacking += not self._is_settled(each)
        self._set("named", named)
        self._set("lacking_count", self._of("lacking_count").having(digest, lacking))
        servers = self._of("servers")
        for name in self._of("announced")[digest]:
            server: ServerInstances = servers[name]
            unread = server.unread - 1
            changed = msgspec.structs.replace(server, unread=unread, revision=self._revision)
            servers = servers.having(name, changed)
            if not unread:
                self._settled[name] = None
        self._set("servers", servers)
        if not lacking:
            self._complete(digest)

    def add_definition(self, digest: str, data: bytes) -> None:
        """A definition may have come."""
        manifests = self._of("named").get(digest)
        if manifests is None or digest in self._of("raw") or digest in self._of("unusable"):
            return
        kinds = {kind for as_what in manifests.values() for kind in as_what}
        for kind in [kind for kind in KINDS if kind in kinds]:
            definition = _read(_DECODERS[kind][0], data)
            if definition is None:
                self._set("unusable", self._of("unusable").having(digest, None))
            else:
                self._set(kind, self._of(kind).having(digest, definition))
                self._set("raw", self._of("raw").having(digest, data))
        was_withheld = digest in self._of("withheld")
        if was_withheld:
            self._set("withheld", self._of("withheld").without(digest))
        self._settle(manifests, was_counted=was_withheld)

    def withhold(self, digest: str) -> None:
        """A definition is not to be had."""
        manifests = self._of("named").get(digest)
        if manifests is not None and not self._is_settled(digest):
            self._set("withheld", self._of("withheld").having(digest, None))
            self._settle(manifests, was_counted=False)

    def _settle(self, manifests: Iterable[str], *, was_counted: bool) -> None:
        """One definition of each of these manifests is not waited for any more."""
        for manifest in manifests:
            lacking = self._of("lacking_count")[manifest]
            if not was_counted:
                lacking -= 1
                self._set("lacking_count", self._of("lacking_count").having(manifest, lacking))
            if not lacking:
                self._complete(manifest)

    def _complete(self, digest: str) -> None:
        """All of a manifest is here that can be had."""
        if digest not in self._of("announced"):
            return
        is_new = digest not in self._of("names")
        self._set("names", self._of("names").having(digest, self._by_name(digest)))
        servers = self._of("servers")
        for name in self._of("announced")[digest]:
            unknown = servers[name].unknown - is_new
            changed = msgspec.structs.replace(servers[name], unknown=unknown, revision=self._revision)
            servers = servers.having(name, changed)
        self._set("servers", servers)

    def _by_name(self, digest: str) -> Names:
        manifest: Manifest = self._of("manifests")[digest]
        names: dict[str, dict[str, str]] = {}
        for kind, (_, attribute) in _DECODERS.items():
            known = self._of(kind)
            whole = [each for each in getattr(manifest, kind) if each in known]
            names[kind] = {getattr(known[each], attribute): each for each in whole}
        withheld = self._of("withheld")
        lost = tuple(each for each in manifest.digests if each in withheld) if withheld else ()
        return Names(**names, withheld=lost)

    def _announce(self, digest: str, server: str) -> None:
        known = self._of("announced")
        self._set("announced", known.having(digest, known.get(digest, EMPTY).having(server, None)))

    def _retract(self, digest: str, server: str) -> None:
        """No instance of a server announces a manifest any more."""
        known = self._of("announced")
        left = known[digest].without(server)
        if left:
            self._set("announced", known.having(digest, left))
            return
        self._set("announced", known.without(digest))
        manifest: Manifest | None = self._of("manifests").get(digest)
        if manifest is not None:
            self._set("names", self._of("names").without(digest))
            stale = self._of("stale")
            kept = stale.get(manifest.server, EMPTY).having(digest, None)
            self._set("stale", stale.having(manifest.server, kept))
            self._settled[manifest.server] = None

    def _drop_manifest(self, digest: str) -> None:
        manifest: Manifest = self._of("manifests")[digest]
        self._set("manifests", self._of("manifests").without(digest))
        self._set("names", self._of("names").without(digest))
        self._set("lacking_count", self._of("lacking_count").without(digest))
        for each in dict.fromkeys(manifest.digests):
            left = self._of("named")[each].without(digest)
            if left:
                self._set("named", self._of("named").having(each, left))
                continue
            for field in ("named", *KINDS, "raw", "unusable", "withheld"):
                if each in self._of(field):
                    self._set(field, self._of(field).without(each))

    def _place(self, key: Key, *, is_there: bool) -> None:
        """A node has, or has not, a server."""
        node, nodes = key[:2], self._of("nodes")
        servers: tuple[str, ...] = nodes.get(node, ())
        if is_there:
            self._set("nodes", nodes.having(node, (*servers, key[2])))
            return
        left = tuple(server for server in servers if server != key[2])
        self._set("nodes", nodes.having(node, left) if left else nodes.without(node))

    def _is_settled(self, digest: str) -> bool:
        return any(digest in self._of(field) for field in ("raw", "unusable", "withheld"))

    def _of(self, field: str) -> Any:
        return self._values[field] if field in self._values else getattr(self._before, field)

    def _set(self, field: str, value: Any) -> None:
        if value is not self._of(field):
            self._values[field] = value


def _more(counts: PersistentMap[Any, int], key: Any) -> PersistentMap[Any, int]:
    return counts.having(key, counts.get(key, 0) + 1)


def _fewer(counts: PersistentMap[Any, int], key: Any) -> PersistentMap[Any, int]:
    left = counts[key] - 1
    return counts.having(key, left) if left else counts.without(key)


def _read(decode: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return decode(data)
    except msgspec.DecodeError:
        return None
