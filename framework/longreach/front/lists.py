"""The results of the four list methods and of server/discover, from an offering. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from longreach.front.offering import Offering
from longreach.front.paging import cursor_after, page_end
from longreach.front.shelf import Item, Kind
from longreach.wire import codes
from longreach.wire.mcp import SERVER_INFO_KEY

MEMBERS: Mapping[Kind, str] = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "templates": "resourceTemplates",
}
LISTS: Mapping[str, Kind] = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "templates",
}
_MAX_INSTRUCTIONS = 16_384
_encode = msgspec.json.Encoder().encode
NO_COMPLETION = _encode({"completion": {"values": []}, "resultType": "complete"})
"""The answer to completion/complete of a server that completes nothing."""


def info_of(offering: Offering, server: str | None, name: str, version: str) -> dict[str, str]:
    """`serverInfo` in results: the one server's own, or the front's."""
    shelf = offering.shelves.get(server) if server is not None else None
    if shelf is None:
        return {"name": server or name, "version": version}
    info = {"name": shelf.server, "version": shelf.version}
    return {**info, "title": shelf.title} if shelf.title else info


def encode_page(
    offering: Offering, kind: Kind, items: Sequence[Item], start: int, info: Mapping[str, str]
) -> bytes:
    """The page of a list that begins at `start`, as a result.

    Args:
        offering: what is offered.
        kind: of the list.
        items: the list.
        start: where the page begins.
        info: who answers.
    """
    end = page_end(items, start)
    page: dict[str, Any] = {
        MEMBERS[kind]: [Raw(item.data) for item in items[start:end]],
        "ttlMs": offering.ttl_ms,
        "cacheScope": offering.cache_scope,
        "_meta": {SERVER_INFO_KEY: info},
        "resultType": "complete",
    }
    if end < len(items):
        page["nextCursor"] = cursor_after(items[end - 1], kind)
    return _encode(page)


def encode_discover(offering: Offering, info: Mapping[str, str], instructions: str | None) -> bytes:
    """The result of server/discover."""
    capabilities: dict[str, Any] = {
        "tools": {"listChanged": True},
        "prompts": {"listChanged": True},
        "resources": {"listChanged": True, "subscribe": True},
        "logging": {},
    }
    if any(shelf.completions for shelf in offering.shelves.values()):
        capabilities["completions"] = {}
    answer: dict[str, Any] = {
        "supportedVersions": [codes.PROTOCOL_VERSION],
        "capabilities": capabilities,
        "ttlMs": offering.ttl_ms,
        "cacheScope": offering.cache_scope,
        "_meta": {SERVER_INFO_KEY: info},
        "resultType": "complete",
    }
    if instructions:
        answer["instructions"] = instructions
    return _encode(answer)


def instructions_of(offering: Offering, server: str | None) -> str | None:
    """What servers say about their use: the one server's own words, or all of them under their names."""
    if server is not None:
        shelf = offering.shelves.get(server)
        return None if shelf is None else shelf.instructions
    parts = [
        f"## {shelf.server}\n\n{shelf.instructions.strip()}"
        for shelf in offering.shelves.values()
        if shelf.instructions
    ]
    text, dropped = "", 0
    for part in parts:
        if len(text) + len(part) > _MAX_INSTRUCTIONS:
            dropped += 1
        else:
            text += ("\n\n" if text else "") + part
    return (
        f"{text}\n\n({dropped} more servers have instructions that do not fit here.)"
        if dropped
        else text or None
    )
