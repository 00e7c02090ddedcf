"""The catalog: what the mesh offers, as an immutable value with a revision, and how it changes.

Announcements make a new catalog out of an old one; when a node was last heard is kept apart, in
`Hearing`, so that a heartbeat changes nothing. Source: docs/binding.md 8.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from longreach.policy.instances import Hearing, Instance, Key, key_of
from longreach.policy.liveness import NodeId
from longreach.policy.offers import KINDS, Entry, Found, Kind, Names, Offers
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

__all__ = ["SILENT_S", "Catalog", "Entry", "Found", "Hearing", "Instance", "Key"]

SILENT_S = 40.0
"""An instance that is not heard of for so long, three heartbeats and a little, is gone."""
_SKEW_JITTER_MS = 100
"""A change of a node's skew below this is the network's jitter, and no news."""
_DECODERS: dict[Kind, tuple[Callable[[bytes], Any], str]] = {
    "tools": (decode_tool, "name"),
    "prompts": (decode_prompt, "name"),
    "resources": (decode_resource, "uri"),
    "templates": (decode_template, "uri_template"),
}
"""How each kind is read, and what it is called by."""


class Catalog(Offers, frozen=True):
    """What the mesh offers, and how that changes; an older one stays as it was."""

    def apply(self, announcement: Announcement, wall_ms: int) -> Catalog:
        """The catalog after `announcement`; the same object if it says nothing new.

        Args:
            announcement: newer than what was heard before (`Hearing.is_news`).
            wall_ms: our own clock when it came.
        """
        key = key_of(announcement)
        before = self.instances.get(key)
        if announcement.state == "down":
            return self if before is None else self._without({key})
        skew_ms = announcement.clock_ms - wall_ms
        after = Instance(
            server=announcement.server,
            identity=announcement.identity,
            instance=announcement.instance,
            region=announcement.region,
            version=announcement.version,
            digest=announcement.digest,
            labels=tuple(sorted(announcement.labels.items())),
            skew_ms=skew_ms,
            canary=announcement.canary if isinstance(announcement.canary, int) else None,
        )
        same = before is not None and before._replace(skew_ms=skew_ms) == after
        if same and before is not None and abs(before.skew_ms - skew_ms) < _SKEW_JITTER_MS:
            return self
        changed = self._but(instances=MappingProxyType({**self.instances, key: after}))
        return changed if before is None or before.digest == after.digest else changed._pruned()

    def expire(self, now: float, hearing: Hearing) -> Catalog:
        """The catalog without those that have been silent for too long."""
        silent = {
            key for key, instance in self.instances.items() if hearing.last_heard(instance) < now - SILENT_S
        }
        return self._without(silent) if silent else self

    def without_node(self, identity: str, instance: str) -> Catalog:
        """The catalog without a node that is known to be dead."""
        gone = {key for key in self.instances if key[:2] == (identity, instance)}
        return self._without(gone) if gone else self

    def missing(self, servers: Collection[str]) -> list[tuple[str, tuple[NodeId, ...]]]:
        """(digest, who has it) of what is not fetched yet of `servers`."""
        holders: dict[str, list[NodeId]] = {}
        for instance in self.instances.values():
            if instance.server not in servers or instance.digest in self.names:
                continue
            manifest = self.manifests.get(instance.digest)
            wanted = [instance.digest] if manifest is None else manifest.digests
            for digest in wanted:
                if digest not in self.raw and digest not in self.broken:
                    holders.setdefault(digest, []).append(instance.node)
        return [(digest, tuple(nodes)) for digest, nodes in holders.items()]

    def with_blobs(self, blobs: Mapping[str, bytes]) -> Catalog:
        """The catalog with what was fetched; what has another digest, or nobody asked for, is left out.

        A node that announces nonsense hurts nobody but its own callers: a manifest that is none is left out,
        a definition that is none is kept in mind as broken, and the others of its server are offered.
        """
        whole = {digest: data for digest, data in blobs.items() if digest_of(data) == digest}
        manifests = {**self.manifests, **self._read_manifests(whole)}
        known: dict[str, dict[str, Any]] = {kind: dict(getattr(self, kind)) for kind in KINDS}
        raw, broken = dict(self.raw), set(self.broken)
        for kind in KINDS:
            decode, _ = _DECODERS[kind]
            new = self._named(kind) - self.raw.keys() - self.broken
            for digest in [digest for digest in whole if digest in new]:
                definition = _read(decode, whole[digest])
                if definition is None:
                    broken.add(digest)
                else:
                    known[kind][digest] = definition
                    raw[digest] = whole[digest]
        names = dict(self.names)
        for digest, manifest in manifests.items():
            if digest not in names and all(each in raw or each in broken for each in manifest.digests):
                names[digest] = _by_name(manifest, known)
        sizes = (len(manifests), len(raw), len(broken), len(names))
        if sizes == (len(self.manifests), len(self.raw), len(self.broken), len(self.names)):
            return self
        return self._but(
            manifests=MappingProxyType(manifests),
            **{kind: MappingProxyType(known[kind]) for kind in KINDS},
            raw=MappingProxyType(raw),
            broken=frozenset(broken),
            names=MappingProxyType(names),
        )._pruned()

    def bytes_of(self, server: str) -> int:
        """How much of the definitions of a server is here."""
        named = {each for m in self.manifests.values() if m.server == server for each in m.digests}
        return sum(len(self.raw[digest]) for digest in named if digest in self.raw)

    def _read_manifests(self, blobs: Mapping[str, bytes]) -> dict[str, Manifest]:
        """The manifests among `blobs` that are announced, and new."""
        announced = {instance.digest for instance in self.instances.values()}
        new = announced & blobs.keys() - self.manifests.keys()
        read = {digest: _read(decode_manifest, blobs[digest]) for digest in new}
        return {digest: manifest for digest, manifest in read.items() if manifest is not None}

    def _named(self, kind: Kind) -> set[str]:
        return {digest for manifest in self.manifests.values() for digest in getattr(manifest, kind)}

    def _without(self, keys: Collection[Key]) -> Catalog:
        left = {key: instance for key, instance in self.instances.items() if key not in keys}
        return self._but(instances=MappingProxyType(left))._pruned()

    def _pruned(self) -> Catalog:
        """Without the manifests and definitions that nobody announces any more.

        Those of a server whose new manifest is still to be fetched stay until it has come: most of what is
        in it is the same, and would have to be fetched again.
        """
        announced = {instance.digest for instance in self.instances.values()}
        changing = {i.server for i in self.instances.values() if i.digest not in self.manifests}
        manifests = {
            digest: manifest
            for digest, manifest in self.manifests.items()
            if digest in announced or manifest.server in changing
        }
        named = {digest for manifest in manifests.values() for digest in manifest.digests}
        return msgspec.structs.replace(
            self,
            manifests=MappingProxyType(manifests),
            **{kind: _only(getattr(self, kind), named) for kind in KINDS},
            raw=_only(self.raw, named),
            broken=self.broken & named,
            names=_only(self.names, announced),
        )

    def _but(self, **changes: Any) -> Catalog:
        return msgspec.structs.replace(self, revision=self.revision + 1, **changes)


def _by_name(manifest: Manifest, known: Mapping[str, Mapping[str, Any]]) -> Names:
    names: dict[str, dict[str, str]] = {}
    for kind, (_, attribute) in _DECODERS.items():
        whole = [digest for digest in getattr(manifest, kind) if digest in known[kind]]
        names[kind] = {getattr(known[kind][digest], attribute): digest for digest in whole}
    return Names(**names)


def _only(known: Mapping[str, Any], wanted: Collection[str]) -> Mapping[str, Any]:
    return MappingProxyType({digest: value for digest, value in known.items() if digest in wanted})


def _read(decode: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return decode(data)
    except msgspec.DecodeError:
        return None
