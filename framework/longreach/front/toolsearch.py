"""Two tools in place of too many: one finds tools by what they do, the other calls one of them.

A model's context holds only so many definitions. Where there are more, tools/list has these two; a tool
can still be called by its own name, by whoever knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from longreach.front.naming import CALL_TOOL, SEARCH_TOOLS
from longreach.front.offering import Offering
from longreach.front.ranking import Ranking, Weights, weigh
from longreach.front.rewriting import with_params
from longreach.front.shelf import Item

_STEP = 20
"""So many tools are put into the index before others have their turn: a few milliseconds."""
DEFAULT_LIMIT: Final = 8
MAX_LIMIT: Final = 50
MAX_QUERY: Final = 1000
MAX_BYTES: Final = 256 * 1024
"""An answer holds no more than this, nor less than one definition."""

_SEARCH = {
    "name": SEARCH_TOOLS,
    "title": "Search tools",
    "description": (
        "Find tools by what they do. Many more tools exist than are listed; search before you say that "
        f"something cannot be done. Returns definitions, best first; call one with {CALL_TOOL}."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "query": {
                "type": "string",
                "maxLength": MAX_QUERY,
                "description": "What the tool should do, or words of its name, description or parameters.",
            },
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_LIMIT,
                "default": DEFAULT_LIMIT,
                "description": "How many tools to return at most.",
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {"tools": {"type": "array", "items": {"type": "object"}}},
        "required": ["tools"],
    },
    "annotations": {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False},
}
_CALL = {
    "name": CALL_TOOL,
    "title": "Call a tool",
    "description": (
        f"Call a tool that {SEARCH_TOOLS} found, by its name and with arguments that fit its inputSchema."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": f"The tool's name, as {SEARCH_TOOLS} returned it."},
            "arguments": {"type": "object", "description": "The tool's arguments.", "default": {}},
        },
        "required": ["name"],
        "additionalProperties": False,
    },
}
OFFERED: Sequence[Item] = tuple(
    Item(definition["name"], "", definition["name"], definition["name"], msgspec.json.encode(definition))  # type: ignore[arg-type]
    for definition in (_CALL, _SEARCH)
)
"""What tools/list offers in place of the tools, by name."""


class _SearchArguments(msgspec.Struct, forbid_unknown_fields=True):
    query: Annotated[str, Meta(max_length=MAX_QUERY)]
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT


class _SearchParams(msgspec.Struct):
    arguments: _SearchArguments


class _SearchRequest(msgspec.Struct):
    params: _SearchParams


class _CallArguments(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: Raw = Raw(b"{}")


class _CallParams(msgspec.Struct):
    arguments: _CallArguments


class _CallRequest(msgspec.Struct):
    params: _CallParams


_search_decoder = msgspec.json.Decoder(_SearchRequest)
_call_decoder = msgspec.json.Decoder(_CallRequest)
_encode = msgspec.json.Encoder().encode


class BadArguments(ValueError):
    """Arguments of one of the two tools that do not fit; the text is for the model to read."""


class ToolSearch:
    """Keeps an index of the tools that are offered; what has not changed is not read again.

    An index is made in small steps, between which everything else goes on.
    """

    def __init__(self) -> None:
        self._of: Sequence[Item] | None = None
        self._ranking = Ranking()
        self._weights: dict[tuple[str, str], Weights] = {}
        self._making = asyncio.Lock()

    async def search(self, offering: Offering, data: bytes, seen: Sequence[Item] | None = None) -> bytes:
        """The result of `search_tools`.

        Args:
            offering: what is offered.
            data: the request.
            seen: the tools that the caller may see; None: all of them.

        Raises:
            BadArguments: they do not fit.
        """
        try:
            arguments = _search_decoder.decode(data).params.arguments
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadArguments(f"{SEARCH_TOOLS}: {error}") from None
        async with self._making:
            ranking = await self._index(offering.lists["tools"])
        if seen is None:
            found = _fitting(ranking.search(arguments.query, arguments.limit))
        else:
            may = {item.offered for item in seen}
            hits = ranking.search(arguments.query, len(offering.lists["tools"]))
            found = _fitting([item for item in hits if item.offered in may][: arguments.limit])
        tools = _encode({"tools": [Raw(item.data) for item in found]})
        text = tools.decode() if found else "no tool fits; try other words, or fewer of them"
        return encode_text_result(text, structured=tools)

    async def _index(self, tools: Sequence[Item]) -> Ranking:
        if tools is self._of:
            return self._ranking
        ranking, weights = Ranking(), {}
        for number, item in enumerate(tools):
            if number % _STEP == _STEP - 1:
                await asyncio.sleep(0)
            key = (item.offered, item.digest)
            weights[key] = self._weights.get(key) or weigh(item)
            ranking.add(item, weights[key])
        ranking.finish()
        self._of, self._ranking, self._weights = tools, ranking, weights
        return ranking


def _fitting(found: Sequence[Item]) -> list[Item]:
    """The first of what was found, as many as one answer may hold; at least one."""
    room = MAX_BYTES
    fitting: list[Item] = []
    for item in found:
        room -= len(item.data)
        if room < 0 and fitting:
            break
        fitting.append(item)
    return fitting


def find_called(offering: Offering, data: bytes) -> tuple[Item, bytes]:
    """What a request of `call_tool` calls, and the request for it: the same, but for name and arguments.

    Raises:
        BadArguments: they do not fit, or no tool is called so.
    """
    try:
        arguments = _call_decoder.decode(data).params.arguments
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadArguments(f"{CALL_TOOL}: {error}") from None
    item = offering.find("tools", arguments.name)
    if item is None:
        raise BadArguments(
            f"no tool is called {arguments.name[:200]!r}; {SEARCH_TOOLS} finds those that are there"
        )
    return item, with_params(data, {"name": item.name, "arguments": arguments.arguments})


def instructions(offering: Offering, own: str | None) -> str:
    """What discovery tells models, before the servers' `own` instructions."""
    text = (
        f"{len(offering.lists['tools'])} tools are available, which are not all listed: find them with "
        f"{SEARCH_TOOLS}, and call them with {CALL_TOOL}."
    )
    return f"{text}\n\n{own}" if own else text


def encode_text_result(text: str, *, structured: bytes | None = None, is_error: bool = False) -> bytes:
    """A tools/call result with a text, and perhaps the same for programs."""
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "resultType": "complete"}
    if structured is not None:
        result["structuredContent"] = Raw(structured)
    if is_error:
        result["isError"] = True
    return _encode(result)
