"""What one server offers, over all its live versions, in the form in which it is listed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
from msgspec import Raw

from longreach.front.naming import offered_name, offered_uri

if TYPE_CHECKING:
    from longreach.front.filters import Filters
    from longreach.policy.catalog import Catalog
    from longreach.policy.instances import Sort
    from longreach.wire.manifest import Manifest

Kind = Literal["tools", "prompts", "resources", "templates"]
KINDS: tuple[Kind, ...] = ("tools", "prompts", "resources", "templates")

_NUMBERS = re.compile(r"\d+")
_members = msgspec.json.Decoder(dict[str, Raw])
_text = msgspec.json.Decoder(str)
_BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Naming(NamedTuple):
    """Which member of a definition names it, and what it is called beside those of other servers."""

    member: str
    offered: Callable[[str, str], str]


_NAMING: Mapping[Kind, _Naming] = {
    "tools": _Naming("name", offered_name),
    "prompts": _Naming("name", offered_name),
    "resources": _Naming("uri", offered_uri),
    "templates": _Naming("uriTemplate", offered_uri),
}


class Item(NamedTuple):
    """A tool, prompt, resource or template.

    Attributes:
        offered: its name or URI for clients of the front.
        server: whose it is.
        name: its own name or URI.
        digest: of its definition, as its server has it.
        data: its definition in JSON, as it is listed.
    """

    offered: str
    server: str
    name: str
    digest: str
    data: bytes


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What one server offers.

    Attributes:
        made_of: the manifests that it was read from, and how many of the definitions of each could not be
            had; the same again make the same shelf.
        items: of each kind, by their own names.
        whole: whether every live version is known; what is not may offer more.
        ttl_ms: how long a list may be kept: the least that a version says.
        private: whether a list may be kept for one caller only.
        completions: whether any version completes arguments.
        version: the newest.
        title: of the newest version that has one.
        instructions: of the newest version that has some.
    """

    server: str
    made_of: frozenset[tuple[str, int]]
    items: Mapping[Kind, Mapping[str, Item]]
    whole: bool
    ttl_ms: int
    private: bool
    completions: bool
    version: str
    title: str | None
    instructions: str | None


def build_shelf(
    catalog: Catalog,
    server: str,
    sorts: Sequence[Sort],
    filters: Filters,
    *,
    renamed: bool,
    before: Shelf | None = None,
) -> Shelf | None:
    """The shelf of a server; None where nothing of it is known yet.

    Args:
        catalog: what is known.
        server: its name, by those who announce it; what a manifest says of itself routes nothing.
        sorts: of its instances, at least one.
        filters: what may be seen.
        renamed: whether things get the names and URIs of the whole mesh; else their own.
        before: its shelf until now. It stays while a new version, and no other, is still to be fetched, so
            that a list does not lose what it is about to get back; and where nothing has changed.
    """
    known = [sort for sort in sorts if sort.digest in catalog.names]
    if not known:
        return _not_whole(before)
    whole = len(known) == len(sorts)
    made_of = frozenset((sort.digest, len(catalog.names[sort.digest].withheld)) for sort in known)
    if before is not None and before.made_of == made_of and before.whole == whole:
        return before
    manifests = _newest_first(catalog, known)
    items: dict[Kind, dict[str, Item]] = {
        kind: _items(catalog, server, manifests, kind, filters, renamed=renamed) for kind in KINDS
    }
    return Shelf(
        server=server,
        made_of=made_of,
        items=items,
        whole=whole,
        ttl_ms=min(manifest.ttl_ms or 0 for manifest in manifests),
        private=any(manifest.cache_scope == "private" for manifest in manifests),
        completions=any(manifest.completions for manifest in manifests),
        version=manifests[0].version,
        title=_first(manifest.title for manifest in manifests),
        instructions=_first(manifest.instructions for manifest in manifests),
    )


def _not_whole(before: Shelf | None) -> Shelf | None:
    return before if before is None or not before.whole else msgspec.structs.replace(before, whole=False)


def _first(texts: Iterable[str | None]) -> str | None:
    return next((text for text in texts if text), None)


def _digests(manifest: Manifest, kind: Kind) -> list[str]:
    digests: list[str] = getattr(manifest, kind)
    return digests


def _newest_first(catalog: Catalog, sorts: Sequence[Sort]) -> list[Manifest]:
    """The manifests of `sorts`, each once, by version; where versions are equal, the order is stable."""
    digests = {sort.digest: sort.version for sort in sorts}
    order = sorted(digests, key=lambda digest: (_version_key(digests[digest]), digest), reverse=True)
    return [catalog.manifests[digest] for digest in order]


def _version_key(version: str) -> tuple[list[int], bool, list[int]]:
    """By numbers; a release is newer than what came before it (1.0.0-rc1)."""
    release, dash, rest = version.partition("-")
    return _numbers(release), not dash, _numbers(rest)


def _numbers(text: str) -> list[int]:
    return [int(number[:9]) for number in _NUMBERS.findall(text)[:4]]


def _items(
    catalog: Catalog,
    server: str,
    manifests: list[Manifest],
    kind: Kind,
    filters: Filters,
    *,
    renamed: bool,
) -> dict[str, Item]:
    """What the manifests offer of a kind, by name; of several versions of a thing, the newest."""
    items: dict[str, Item] = {}
    for manifest in manifests:
        for digest in _digests(manifest, kind):
            data = catalog.raw.get(digest)  # None: what came under this digest is no definition
            if data is None or not filters.allow_definition(data, manifest.tags):
                continue
            item = _item(server, kind, digest, data, renamed=renamed)
            if item is not None:
                items.setdefault(item.name, item)
    return dict(sorted(items.items()))


def _item(server: str, kind: Kind, digest: str, data: bytes, *, renamed: bool) -> Item | None:
    naming = _NAMING[kind]
    try:
        members = _members.decode(data)
        name = _text.decode(members[naming.member])
    except (*_BAD_JSON, KeyError):
        return None
    if not renamed:
        return Item(name, server, name, digest, data)
    offered = naming.offered(server, name)
    members[naming.member] = Raw(msgspec.json.encode(offered))
    return Item(offered, server, name, digest, msgspec.json.encode(members))
