"""What a server offers, content-addressed: a manifest of digests, and a blob for each tool.

One changed tool changes its blob and the manifest, and nothing else. Source: docs/binding.md M8.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import msgspec

from longreach.wire.digest import digest
from longreach.wire.frames import BINDING
from longreach.wire.mcp import Tool


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server: who it is, and the digests of its tools in the order of their names."""

    server: str
    version: str
    tools: list[str]
    title: str | None = None
    instructions: str | None = None
    binding: int = 0


_T = TypeVar("_T")
_manifest_decoder = msgspec.json.Decoder(Manifest)
_tool_decoder = msgspec.json.Decoder(Tool)


class Bundle(NamedTuple):
    """A server's manifest, its digest, and the blobs that it names."""

    digest: str
    manifest: bytes
    blobs: dict[str, bytes]


def build_bundle(
    server: str,
    version: str,
    *,
    title: str | None,
    instructions: str | None,
    tools: Iterable[Tool],
) -> Bundle:
    """Encode everything that a server offers."""
    blobs: dict[str, bytes] = {}
    names: list[str] = []
    for tool in sorted(tools, key=lambda tool: tool.name):
        data = msgspec.json.encode(tool)
        name = digest(data)
        blobs[name] = data
        names.append(name)
    manifest = msgspec.json.encode(
        Manifest(
            server=server,
            version=version,
            tools=names,
            title=title,
            instructions=instructions,
            binding=BINDING,
        )
    )
    return Bundle(digest(manifest), manifest, blobs)


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


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    # Blobs come from strangers, and for wrong UTF-8 and deep nesting msgspec raises other errors.
    try:
        return decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
