"""What a server offers, content-addressed: a manifest of digests, and a blob for each definition.

One changed definition changes its blob and the manifest, and nothing else. A blob is the definition's very
JSON, unknown members included. Source: docs/binding.md M8.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from longreach.wire.digest import digest
from longreach.wire.frames import BINDING
from longreach.wire.mcp import CacheScope, Tool
from longreach.wire.prompts import Prompt
from longreach.wire.resources import Resource, ResourceTemplate


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A server: who it is, and the digests of what it offers, each kind in the order of its names.

    `ttl_ms` and `cache_scope` say how long, and for whom, a listing may be kept; `completions`, whether it
    completes arguments.
    """

    server: str
    version: str
    tools: list[str]
    title: str | None = None
    instructions: str | None = None
    binding: int = 0
    prompts: list[str] = []
    resources: list[str] = []
    templates: list[str] = []
    completions: bool = False
    ttl_ms: int | None = None
    cache_scope: CacheScope = "public"
    tags: list[str] = []

    @property
    def digests(self) -> list[str]:
        """The digests of all definitions."""
        return [*self.tools, *self.prompts, *self.resources, *self.templates]


_T = TypeVar("_T")
_manifest_decoder = msgspec.json.Decoder(Manifest)
_tool_decoder = msgspec.json.Decoder(Tool)
_prompt_decoder = msgspec.json.Decoder(Prompt)
_resource_decoder = msgspec.json.Decoder(Resource)
_template_decoder = msgspec.json.Decoder(ResourceTemplate)


class Definition(NamedTuple):
    """A definition as it is listed: `name` (of a resource its URI, of a template the template), and JSON."""

    name: str
    data: bytes


class Offer(NamedTuple):
    """Everything that a server offers."""

    tools: Sequence[Definition] = ()
    prompts: Sequence[Definition] = ()
    resources: Sequence[Definition] = ()
    templates: Sequence[Definition] = ()
    completions: bool = False
    ttl_ms: int | None = None
    cache_scope: CacheScope = "public"
    tags: Sequence[str] = ()


class Bundle(NamedTuple):
    """A server's manifest, its digest, and the blobs that it names."""

    digest: str
    manifest: bytes
    blobs: dict[str, bytes]


def define(definition: Tool | Prompt | Resource | ResourceTemplate) -> Definition:
    """A definition as it is listed."""
    match definition:
        case Resource():
            name = definition.uri
        case ResourceTemplate():
            name = definition.uri_template
        case _:
            name = definition.name
    return Definition(name, msgspec.json.encode(definition))


def build_bundle(
    server: str,
    version: str,
    *,
    title: str | None,
    instructions: str | None,
    tools: Iterable[Tool] = (),
    offer: Offer | None = None,
) -> Bundle:
    """Encode everything that a server offers: `offer`, or only `tools`."""
    offer = offer or Offer(tools=[define(tool) for tool in tools])
    blobs: dict[str, bytes] = {}
    manifest = msgspec.json.encode(
        Manifest(
            server=server,
            version=version,
            tools=_add(offer.tools, blobs),
            title=title,
            instructions=instructions,
            binding=BINDING,
            prompts=_add(offer.prompts, blobs),
            resources=_add(offer.resources, blobs),
            templates=_add(offer.templates, blobs),
            completions=offer.completions,
            ttl_ms=offer.ttl_ms,
            cache_scope=offer.cache_scope,
            tags=list(offer.tags),
        )
    )
    return Bundle(digest(manifest), manifest, blobs)


def _add(definitions: Iterable[Definition], blobs: dict[str, bytes]) -> list[str]:
    """Put `definitions` into `blobs`; their digests, in the order of their names."""
    ordered = [definition.data for definition in sorted(definitions)]
    digests = [digest(data) for data in ordered]
    blobs.update(zip(digests, ordered, strict=True))
    return digests


def decode_manifest(data: bytes) -> Manifest:
    """A manifest.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decode(_manifest_decoder, data)


def decode_tool(data: bytes) -> Tool:
    """A tool's blob.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decode(_tool_decoder, data)


def decode_prompt(data: bytes) -> Prompt:
    """A prompt's blob.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decode(_prompt_decoder, data)


def decode_resource(data: bytes) -> Resource:
    """A resource's blob.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decode(_resource_decoder, data)


def decode_template(data: bytes) -> ResourceTemplate:
    """A resource template's blob.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decode(_template_decoder, data)


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    # Blobs come from strangers, and for wrong UTF-8 and deep nesting msgspec raises other errors.
    try:
        return decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
