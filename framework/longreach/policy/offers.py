"""What is offered, by whom, and in which form: the catalog as it is read.

Source: docs/binding.md 8.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Set
from types import MappingProxyType
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from longreach.policy.hints import UNTRUSTED, UNTRUSTED_KEY, Hints
from longreach.policy.instances import AllInstances, Instance, Key, ServerInstances, Sort
from longreach.policy.persistent import EMPTY, PersistentMap
from longreach.wire.manifest import Manifest
from longreach.wire.mcp import TIMEOUT_KEY, Tool
from longreach.wire.prompts import Prompt
from longreach.wire.resources import Resource, ResourceTemplate

Kind = Literal["tools", "prompts", "resources", "templates"]
KINDS: tuple[Kind, ...] = ("tools", "prompts", "resources", "templates")
Missing = Literal["no_such_server", "no_such_tool", "no_such_prompt", "not_fetched"]
NOBODY = "no node is up: start one with `longreach run module:server`"
_MISSING: Mapping[str, tuple[str, Missing]] = {
    "tools": ("tool", "no_such_tool"),
    "prompts": ("prompt", "no_such_prompt"),
}
NOTHING: Mapping[Any, Any] = MappingProxyType({})

Definition = Tool | Prompt | Resource | ResourceTemplate
D = TypeVar("D", Tool, Prompt, Resource, ResourceTemplate)


class Found(NamedTuple):
    """What is known of something by its name; `missing` says why it is not known, `message` what to do."""

    digest: str | None
    missing: Missing | None
    message: str


class Entry(NamedTuple, Generic[D]):
    """A tool, prompt, resource or template, and where it is offered in this very form.

    `name` is a resource's URI, and a template's text. `raw` is the definition as it was announced: JSON, with
    the members that nobody here knows.
    """

    server: str
    name: str
    definition: D
    versions: tuple[str, ...]
    regions: tuple[str, ...]
    digest: str
    raw: bytes


class Names(NamedTuple):
    """The digests of what a manifest offers, by name: of a resource its URI, of a template its text.

    `withheld` are those that it names and that could not be had; nothing is known of them, not even the kind.
    """

    tools: Mapping[str, str] = NOTHING
    prompts: Mapping[str, str] = NOTHING
    resources: Mapping[str, str] = NOTHING
    templates: Mapping[str, str] = NOTHING
    withheld: tuple[str, ...] = ()

    def of(self, kind: Kind) -> Mapping[str, str]:
        """Those of a kind."""
        found: Mapping[str, str] = getattr(self, kind)
        return found


_UNKNOWN = Names()


class Offers(msgspec.Struct, frozen=True):
    """What the mesh offers.

    Attributes:
        revision: grows with each change.
        size: how many instances there are.
        servers: the instances, by server.
        nodes: by (identity, instance), the servers of a node.
        manifests: by digest, as far as they were fetched.
        tools: by digest, as far as they were fetched.
        prompts: likewise.
        resources: likewise.
        templates: likewise.
        raw: the JSON of all of these, as it was announced, by digest.
        unusable: by digest, definitions that are none; what is whole of their servers is offered.
        withheld: by digest, definitions that no node could send; likewise.
        names: by manifest digest, what it offers by name; complete manifests only.
    """

    revision: int = 0
    size: int = 0
    servers: PersistentMap[str, ServerInstances] = EMPTY
    nodes: PersistentMap[tuple[str, str], tuple[str, ...]] = EMPTY
    manifests: PersistentMap[str, Manifest] = EMPTY
    tools: PersistentMap[str, Tool] = EMPTY
    prompts: PersistentMap[str, Prompt] = EMPTY
    resources: PersistentMap[str, Resource] = EMPTY
    templates: PersistentMap[str, ResourceTemplate] = EMPTY
    raw: PersistentMap[str, bytes] = EMPTY
    unusable: PersistentMap[str, None] = EMPTY
    withheld: PersistentMap[str, None] = EMPTY
    names: PersistentMap[str, Names] = EMPTY

    @property
    def instances(self) -> Mapping[Key, Instance]:
        """All instances, by (identity, instance, server)."""
        return AllInstances(self.servers, self.size)

    @property
    def broken(self) -> Set[str]:
        """The digests of definitions that are none."""
        return self.unusable.keys()

    def of_server(self, server: str) -> Iterator[Instance]:
        """The instances of a server."""
        known: ServerInstances | None = self.servers.get(server)
        return iter(()) if known is None else iter(known.instances.values())

    def sorts_of(self, server: str) -> Iterator[tuple[Sort, int]]:
        """The sorts of a server's instances, and how many there are of each."""
        known: ServerInstances | None = self.servers.get(server)
        return iter(()) if known is None else iter(known.sorts.items())

    def digests_of(self, server: str) -> Collection[str]:
        """The manifests that the instances of a server announce."""
        known: ServerInstances | None = self.servers.get(server)
        return () if known is None else known.digests

    def manifests_of(self, server: str) -> list[Manifest]:
        """The manifests of a server's live versions, as far as they were fetched, the newest first."""
        digests = {sort.digest: sort.version for sort, _ in self.sorts_of(server)}
        newest_first = sorted(digests.items(), key=lambda item: (_version(item[1]), item[0]), reverse=True)
        return [self.manifests[digest] for digest, _ in newest_first if digest in self.manifests]

    def knows(self, server: str) -> bool:
        """Whether it was fetched what a live version of a server offers."""
        return any(digest in self.names for digest in self.digests_of(server))

    def find_server(self, server: str) -> Found:
        """Whether a server is there; `digest` is always None."""
        if server in self.servers:
            return Found(None, None, "")
        if not self.servers:
            return Found(None, "no_such_server", NOBODY)
        text = f"no node offers a server called {server!r}{_close(server, self.servers)}"
        return Found(None, "no_such_server", f"{text}; `longreach ls` shows what there is")

    def find(self, server: str, name: str, kind: Literal["tools", "prompts"] = "tools") -> Found:
        """What is known of a tool, or of a prompt."""
        offered: set[str] = set()
        withheld: set[str] = set()
        fetched = True
        for digest in self.digests_of(server):
            names: Names | None = self.names.get(digest)
            if names is None:
                fetched = False
            elif name in names.of(kind):
                return Found(names.of(kind)[name], None, "")
            else:
                offered |= names.of(kind).keys()
                withheld.update(names.withheld)
        if server not in self.servers:
            return self.find_server(server)
        if not fetched or withheld:
            text = f"what {server!r} offers could not be fetched from its nodes"
            if fetched:
                things = "one of its definitions" if len(withheld) == 1 else f"{len(withheld)} definitions"
                text = (
                    f"{server!r} has no {_MISSING[kind][0]} called {name!r} but {things} could not be fetched"
                )
            return Found(None, "not_fetched", f"{text}; try again, or see `longreach ls nodes`")
        word, missing = _MISSING[kind]
        text = f"{server!r} has no {word} called {name!r}{_close(name, offered)}"
        return Found(None, missing, f"{text}; `longreach ls {kind}` shows what there is")

    def lacking(self, server: str, name: str, kind: Kind = "tools") -> frozenset[str]:
        """The digests of a server's manifests that are known to have no thing of that name."""
        known = [(digest, self.names[digest]) for digest in self.digests_of(server) if digest in self.names]
        return frozenset(
            digest for digest, names in known if name not in names.of(kind) and not names.withheld
        )

    def definitions(self, server: str, name: str, kind: Kind = "tools") -> list[Any]:
        """What a thing of that name is in every live version of its server."""
        announced = self.digests_of(server)
        digests = {self.names.get(digest, _UNKNOWN).of(kind).get(name) for digest in announced}
        known: Mapping[str, Definition] = getattr(self, kind)
        return [known[digest] for digest in digests if digest is not None]

    def hints(self, server: str, tool: str) -> Hints:
        """What a tool says of itself; only what every live version says is believed."""
        if not self._is_known(server, tool):
            return Hints()
        definitions: list[Tool] = self.definitions(server, tool)
        if not definitions or not all(map(_is_trusted, definitions)):
            return Hints()
        annotations = [definition.annotations for definition in definitions]
        return Hints(
            read_only=all(hint and hint.read_only_hint is True for hint in annotations),
            idempotent=all(
                hint and (hint.idempotent_hint is True or hint.read_only_hint is True) for hint in annotations
            ),
        )

    def retrieval_hints(self, server: str) -> Hints:
        """Whether what only retrieves may be asked of a server twice: prompts, resources, completions, lists.

        That they change nothing is what MCP says of them, not what they say of themselves; so it is believed,
        but not of a server of which anything is not trusted.
        """
        if not self._is_known(server):
            return Hints()
        for digest in self.digests_of(server):
            names = self.names[digest]
            if names.withheld:
                return Hints()
            for kind in KINDS:
                known: Mapping[str, Definition] = getattr(self, kind)
                if not all(_is_trusted(known[each]) for each in names.of(kind).values()):
                    return Hints()
        return Hints(read_only=True)

    def timeout_ms(self, server: str, name: str, kind: Kind = "tools") -> int | None:
        """How long a thing of that name may take by itself; the longest of all live versions."""
        stated = [
            definition.meta.get(TIMEOUT_KEY)
            for definition in self.definitions(server, name, kind)
            if isinstance(definition.meta, dict)
        ]
        return max((ms for ms in stated if isinstance(ms, int) and ms > 0), default=None)

    def list_tools(self, server: str | None = None) -> list[Entry[Tool]]:
        """Every tool that is known, by server and name."""
        return self._list("tools", self.tools, server)

    def list_prompts(self, server: str | None = None) -> list[Entry[Prompt]]:
        """Every prompt that is known, by server and name."""
        return self._list("prompts", self.prompts, server)

    def list_resources(self, server: str | None = None) -> list[Entry[Resource]]:
        """Every resource that is known, by server and URI."""
        return self._list("resources", self.resources, server)

    def list_templates(self, server: str | None = None) -> list[Entry[ResourceTemplate]]:
        """Every resource template that is known, by server and text."""
        return self._list("templates", self.templates, server)

    def _list(self, kind: Kind, known: Mapping[str, D], server: str | None) -> list[Entry[D]]:
        places: dict[tuple[str, str, str], list[Sort]] = {}
        for owner in self.servers if server is None else (server,):
            for sort, _ in self.sorts_of(owner):
                for name, digest in self.names.get(sort.digest, _UNKNOWN).of(kind).items():
                    places.setdefault((owner, name, digest), []).append(sort)
        return [
            Entry(
                server=owner,
                name=name,
                definition=known[digest],
                versions=tuple(sorted({sort.version for sort in sorts})),
                regions=tuple(sorted({sort.region for sort in sorts})),
                digest=digest,
                raw=self.raw[digest],
            )
            for (owner, name, digest), sorts in sorted(places.items(), key=lambda item: item[0])
        ]

    def _is_known(self, server: str, tool: str | None = None) -> bool:
        """Whether everything that its live versions offer was fetched, or of each at least that tool."""
        found = [self.names.get(digest) for digest in self.digests_of(server)]
        return all(names is not None and (not names.withheld or tool in names.tools) for names in found)


def _is_trusted(definition: Definition) -> bool:
    return not isinstance(definition.meta, dict) or definition.meta.get(UNTRUSTED_KEY) != UNTRUSTED


def _version(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that orders versions as people do: numbers as numbers."""
    parts = text.replace("-", ".").replace("+", ".").split(".")
    return tuple(
        (1, int(p), "") if p.isdecimal() and p.isascii() and len(p) < 19 else (0, 0, p) for p in parts
    )


def _close(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""
