"""Python values as nats-server's configuration language writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Include(str):
    """A file that is included where it stands."""

    __slots__ = ()


def dump(values: Mapping[str, Any]) -> str:
    """A configuration file with these settings, in their order; None is left out."""
    return "".join(_lines(values, 0))


def _lines(values: Mapping[str, Any], depth: int) -> list[str]:
    pad = "  " * depth
    lines = []
    for key, value in values.items():
        if isinstance(value, Include):
            lines.append(f"{pad}include {json.dumps(str(value))}\n")
        elif isinstance(value, Mapping):
            lines += [f"{pad}{_key(key)} {{\n", *_lines(value, depth + 1), f"{pad}}}\n"]
        elif value is not None:
            lines.append(f"{pad}{_key(key)}: {_value(value, depth)}\n")
    return lines


def _value(value: Any, depth: int) -> str:
    pad = "  " * (depth + 1)
    if isinstance(value, Mapping):
        return "{\n" + "".join(_lines(value, depth + 1)) + "  " * depth + "}"
    if isinstance(value, (list, tuple)):
        if not value:
            return "[]"
        return "[\n" + "".join(f"{pad}{_value(item, depth + 1)}\n" for item in value) + "  " * depth + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False)


def _key(key: str) -> str:
    return json.dumps(key)
