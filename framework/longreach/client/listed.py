"""What a server's nodes list for one caller, asked of one of them: names, page by page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from longreach.client.info import PromptInfo, ResourceInfo, TemplateInfo, ToolInfo
from longreach.errors import LongreachError, RemoteError
from longreach.observe import event
from longreach.wire import codes

_log = logging.getLogger("longreach.client")

MAX_PAGES = 1000
"""A listing that never ends is not read for ever."""
NAMED: Mapping[str, tuple[str, str]] = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}
"""By list method: the member of its result, and what names the items in it."""

_KEYS: Mapping[str, Callable[[Any], str]] = {
    "tools/list": attrgetter("tool.name"),
    "prompts/list": attrgetter("prompt.name"),
    "resources/list": attrgetter("resource.uri"),
    "resources/templates/list": attrgetter("template.uri_template"),
}
"""The same of what a mesh tells."""
Info = TypeVar("Info", ToolInfo, PromptInfo, ResourceInfo, TemplateInfo)

_META = {
    "io.modelcontextprotocol/protocolVersion": codes.PROTOCOL_VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_encode = msgspec.json.Encoder().encode


class _Answer(msgspec.Struct):
    result: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Answer).decode


async def names_listed(method: str, ask: Callable[[bytes], Awaitable[bytes]]) -> frozenset[str]:
    """The names, URIs or templates that a server lists.

    Args:
        method: the list method.
        ask: sends a request, and returns the response.

    Raises:
        RemoteError: what was answered is no listing.
        LongreachError: there was no answer.
    """
    member, key = NAMED[method]
    names: set[str] = set()
    cursor: str | None = None
    for number in range(1, MAX_PAGES + 1):
        params = {"_meta": _META} if cursor is None else {"_meta": _META, "cursor": cursor}
        answer = await ask(_encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        try:
            result = _decode(answer).result
            if result is None:
                break
            names.update(item[key] for item in result[member])
            cursor = result.get("nextCursor")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            break
        if cursor is None:
            return frozenset(names)
    raise RemoteError(f"the node answered {method} with what is no listing", reason="bad_result")


async def seen_of(
    found: list[Info],
    method: str,
    private: Sequence[str],
    ask: Callable[[str, str, bytes], Awaitable[bytes]],
    *,
    strict: bool,
) -> list[Info]:
    """Those of `found` that the servers which are private list for this caller.

    Args:
        found: all that is known.
        method: the list method.
        private: the servers to be asked.
        ask: sends (server, method, request), and returns the response.
        strict: whether it is an error that a server does not answer; else it is left out.
    """
    answers = await asyncio.gather(
        *(names_listed(method, partial(ask, server, method)) for server in private), return_exceptions=True
    )
    seen: dict[str, frozenset[str]] = {}
    for server, names in zip(private, answers, strict=True):
        if isinstance(names, frozenset):
            seen[server] = names
        elif strict or not isinstance(names, LongreachError):
            raise names
        else:
            event(_log, "listing.unasked", logging.WARNING, server=server, error=type(names).__name__)
            seen[server] = frozenset()
    key = _KEYS[method]
    return [each for each in found if each.server not in seen or key(each) in seen[each.server]]
