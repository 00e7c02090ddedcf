"""A `longreach call` line for a tool, that works when it is pasted into a shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from longreach.cli.samples import sample
from longreach.cli.schemas import shape_of

if TYPE_CHECKING:
    from longreach.wire.mcp import Tool


def example_call(name: str, schema: Mapping[str, Any], flags: Sequence[str] = ()) -> str:
    """The line, with a value for each argument that the tool must have.

    Args:
        name: ``server.tool``.
        schema: its input schema.
        flags: how to reach it, as shell words that are quoted already.
    """
    words = [_word(key, schema) for key in schema.get("required", ())]
    return " ".join(["longreach call", name, *map(shlex.quote, words), *flags])


def _word(key: str, schema: Mapping[str, Any]) -> str:
    wanted = schema.get("properties", {}).get(key, True)
    value = sample(wanted, schema, key)
    if not isinstance(value, str):
        shape = shape_of(wanted, schema)
        taken_as_text = "string" in shape.types and shape.literals is None
        return f"{key}{':' if taken_as_text else ''}={json.dumps(value, ensure_ascii=False)}"
    return f"{key}={value}"


def easiest(tools: Iterable[tuple[str, Tool]]) -> tuple[str, Tool] | None:
    """The tool to show as an example: harmless, and with few arguments."""

    def effort(entry: tuple[str, Tool]) -> tuple[bool, bool, int, str]:
        name, tool = entry
        hints = tool.annotations or None
        harmless = hints is not None and hints.read_only_hint is True
        dangerous = hints is not None and hints.destructive_hint is True
        return dangerous, not harmless, len(tool.input_schema.get("required", ())), name

    return min(tools, key=effort, default=None)
