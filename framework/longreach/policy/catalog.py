"""The catalog: what the mesh offers, as an immutable value with a revision.

Announcements make a new catalog out of an old one; when a node was last heard is kept apart, in
`Hearing`, so that a heartbeat changes nothing. Source: docs/binding.md 8.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec

from longreach.policy.hints import Hints
from longreach.policy.liveness import NodeId
from longreach.wire.digest import digest as digest_of
from longreach.wire.frames import Announcement
from longreach.wire.manifest import Manifest, decode_manifest, decode_tool
from longreach.wire.mcp import TIMEOUT_KEY, Tool

SILENT_S = 40.0
"""An instance that is not heard of for so long, three heartbeats and a little, is gone."""
_SKEW_JITTER_MS = 100
"""A change of a node's skew below this is the network's jitter, and no news."""

Key = tuple[str, str, str]
Missing = Literal["no_such_server", "no_such_tool", "not_fetched"]


class Instance(NamedTuple):
    """A server on a node."""

    server: str
    identity: str
    instance: str
    region: str
    version: str
    digest: str
    labels: tuple[tuple[str, str], ...]
    skew_ms: int

    @property
    def key(self) -> Key:
        """What identifies it."""
        return (self.identity, self.instance, self.server)

    @property
    def node(self) -> NodeId:
        """The node it is on."""
        return NodeId(self.region, self.identity, self.instance)


class Found(NamedTuple):
    """What is known of a tool by its name; `missing` says why it is not known, `message` what to do."""

    digest: str | None
    missing: Missing | None
    message: str


class ToolEntry(NamedTuple):
    """A tool, and where it is offered in this very form."""

    server: str
    tool: Tool
    versions: tuple[str, ...]
    regions: tuple[str, ...]
    digest: str


class Hearing:
    """When each instance was last heard of, and the newest announcement of each; it changes in place."""

    def __init__(self) -> None:
        self._at: dict[Key, float] = {}
        self._seq: dict[Key, int] = {}

    def is_news(self, announcement: Announcement) -> bool:
        """Whether `announcement` is newer than what was heard from that node for that server."""
        return announcement.seq > self._seq.get(_key(announcement), -1)

    def heard(self, announcement: Announcement, now: float) -> None:
        """Remember it."""
        key = _key(announcement)
        self._at[key] = now
        self._seq[key] = max(announcement.seq, self._seq.get(key, -1))

    def last_heard(self, instance: Instance) -> float:
        """When it was (monotonic s); minus infinity if never."""
        return self._at.get(instance.key, float("-inf"))

    def forget_before(self, limit: float) -> None:
        """Forget who was last heard before `limit`."""
        for key in [key for key, at in self._at.items() if at < limit]:
            del self._at[key]
            self._seq.pop(key, None)


def _key(announcement: Announcement) -> Key:
    return (announcement.identity, announcement.instance, announcement.server)


_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Catalog(msgspec.Struct, frozen=True):
    """What the mesh offers.

    Attributes:
        revision: grows with each change.
        instances: by (identity, instance, server).
        manifests: by digest, as far as they were fetched.
        tools: by digest, as far as they were fetched.
        names: by manifest digest: the digest of each tool by its name; complete manifests only.
    """

    revision: int = 0
    instances: Mapping[Key, Instance] = _NOTHING
    manifests: Mapping[str, Manifest] = _NOTHING
    tools: Mapping[str, Tool] = _NOTHING
    names: Mapping[str, Mapping[str, str]] = _NOTHING

    def apply(self, announcement: Announcement, wall_ms: int) -> Catalog:
        """The catalog after `announcement`; the same object if it says nothing new.

        Args:
            announcement: newer than what was heard before (`Hearing.is_news`).
            wall_ms: our own clock when it came.
        """
        key = _key(announcement)
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
            wanted = [instance.digest] if manifest is None else manifest.tools
            for digest in wanted:
                if digest not in self.tools:
                    holders.setdefault(digest, []).append(instance.node)
        return [(digest, tuple(nodes)) for digest, nodes in holders.items()]

    def with_blobs(self, blobs: Mapping[str, bytes]) -> Catalog:
        """The catalog with what was fetched; what has another digest, or nobody asked for, is left out."""
        announced = {instance.digest for instance in self.instances.values()}
        named = {digest for manifest in self.manifests.values() for digest in manifest.tools}
        manifests, tools = dict(self.manifests), dict(self.tools)
        for digest, data in blobs.items():
            if digest_of(data) != digest:
                continue
            try:
                if digest in announced and digest not in manifests:
                    manifests[digest] = decode_manifest(data)
                elif digest in named and digest not in tools:
                    tools[digest] = decode_tool(data)
            except msgspec.DecodeError:
                continue  # a node that announces nonsense hurts nobody but its own callers
        names = dict(self.names)
        for digest, manifest in manifests.items():
            if digest not in names and all(tool in tools for tool in manifest.tools):
                names[digest] = {tools[tool].name: tool for tool in manifest.tools}
        if (len(manifests), len(tools), len(names)) == (
            len(self.manifests),
            len(self.tools),
            len(self.names),
        ):
            return self
        return self._but(
            manifests=MappingProxyType(manifests),
            tools=MappingProxyType(tools),
            names=MappingProxyType(names),
        )._pruned()

    def of_server(self, server: str) -> Iterator[Instance]:
        """The instances of a server."""
        return (instance for instance in self.instances.values() if instance.server == server)

    def find_server(self, server: str) -> Found:
        """Whether a server is there; `digest` is always None."""
        if any(True for _ in self.of_server(server)):
            return Found(None, None, "")
        known = {instance.server for instance in self.instances.values()}
        if not known:
            return Found(None, "no_such_server", NOBODY)
        text = f"no node offers a server called {server!r}{_close(server, known)}"
        return Found(None, "no_such_server", f"{text}; `longreach ls` shows what there is")

    def find(self, server: str, tool: str) -> Found:
        """What is known of a tool."""
        instances = list(self.of_server(server))
        if not instances:
            return self.find_server(server)
        offered: set[str] = set()
        fetched = True
        for instance in instances:
            names = self.names.get(instance.digest)
            if names is None:
                fetched = False
            elif tool in names:
                return Found(names[tool], None, "")
            else:
                offered |= names.keys()
        if not fetched:
            text = f"what {server!r} offers could not be fetched from its nodes"
            return Found(None, "not_fetched", f"{text}; try again, or see `longreach ls nodes`")
        text = f"{server!r} has no tool called {tool!r}{_close(tool, offered)}"
        return Found(None, "no_such_tool", f"{text}; `longreach ls tools` shows what there is")

    def definitions(self, server: str, tool: str) -> list[Tool]:
        """A tool's definition in every live version of its server."""
        digests = {self.names.get(i.digest, _NOTHING).get(tool) for i in self.of_server(server)}
        return [self.tools[digest] for digest in digests if digest is not None]

    def hints(self, server: str, tool: str) -> Hints:
        """What a tool says of itself; only what every live version says is believed."""
        for instance in self.of_server(server):
            if instance.digest not in self.names:
                return Hints()
        annotations = [definition.annotations for definition in self.definitions(server, tool)]
        if not annotations:
            return Hints()
        return Hints(
            read_only=all(hint and hint.read_only_hint is True for hint in annotations),
            idempotent=all(
                hint and (hint.idempotent_hint is True or hint.read_only_hint is True) for hint in annotations
            ),
        )

    def timeout_ms(self, server: str, tool: str) -> int | None:
        """How long a tool may take by itself; the longest of all live versions."""
        stated = [
            definition.meta.get(TIMEOUT_KEY)
            for definition in self.definitions(server, tool)
            if isinstance(definition.meta, dict)
        ]
        return max((ms for ms in stated if isinstance(ms, int) and ms > 0), default=None)

    def list_tools(self, server: str | None = None) -> list[ToolEntry]:
        """Every tool that is known, by server and name."""
        places: dict[tuple[str, str, str], list[Instance]] = {}
        for instance in self.instances.values():
            if server is None or instance.server == server:
                for name, digest in self.names.get(instance.digest, _NOTHING).items():
                    places.setdefault((instance.server, name, digest), []).append(instance)
        return [
            ToolEntry(
                server=owner,
                tool=self.tools[digest],
                versions=tuple(sorted({i.version for i in instances})),
                regions=tuple(sorted({i.region for i in instances})),
                digest=digest,
            )
            for (owner, _, digest), instances in sorted(places.items(), key=lambda item: item[0])
        ]

    def _without(self, keys: Collection[Key]) -> Catalog:
        left = {key: instance for key, instance in self.instances.items() if key not in keys}
        return self._but(instances=MappingProxyType(left))._pruned()

    def _pruned(self) -> Catalog:
        """Without the manifests and tools that nobody announces any more.

        Those of a server whose new manifest is still to be fetched stay until it has come: most of the tools
        in it are the same, and would have to be fetched again.
        """
        announced = {instance.digest for instance in self.instances.values()}
        changing = {i.server for i in self.instances.values() if i.digest not in self.manifests}
        manifests = {
            digest: manifest
            for digest, manifest in self.manifests.items()
            if digest in announced or manifest.server in changing
        }
        named = {digest for manifest in manifests.values() for digest in manifest.tools}
        return msgspec.structs.replace(
            self,
            manifests=MappingProxyType(manifests),
            tools=MappingProxyType({digest: t for digest, t in self.tools.items() if digest in named}),
            names=MappingProxyType({digest: n for digest, n in self.names.items() if digest in announced}),
        )

    def _but(self, **changes: Any) -> Catalog:
        return msgspec.structs.replace(self, revision=self.revision + 1, **changes)


NOBODY = "no node is up: start one with `longreach run module:server`"


def _close(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""
