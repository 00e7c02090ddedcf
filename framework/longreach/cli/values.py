"""From what a flag, a TOML file or the environment says to a setting's value.

Each kind of value is read by one function, so that the three sources mean the same by the same text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})
_MAX_PORT = 65_535
_ALL_PERCENT = 100
_UNITS = {"KiB": 2**10, "MiB": 2**20}


class Malformed(ValueError):
    """A value is not what its setting takes; says what it takes."""


def text(raw: Any) -> str:
    """Any text but the empty one."""
    if not isinstance(raw, str) or not raw:
        raise Malformed("takes a text that is not empty")
    return raw


def texts(raw: Any) -> tuple[str, ...]:
    """Texts, separated by commas or in a list."""
    items = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise Malformed("takes texts: separated by commas, or a list")
    parts = [part.strip() for item in items for part in item.split(",")]
    if not parts or not all(parts):
        raise Malformed("takes texts that are not empty")
    return tuple(parts)


def pairs(raw: Any) -> dict[str, str]:
    """``key=value`` pairs: separated by commas, in a list, or a table."""
    if isinstance(raw, Mapping):
        if not all(isinstance(value, str) for value in raw.values()):
            raise Malformed("takes key = value pairs whose values are texts")
        return dict(raw)
    found = {}
    for part in texts(raw):
        key, equals, value = part.partition("=")
        if not (key and equals):
            raise Malformed(f"takes key=value, not {part!r}")
        found[key] = value
    return found


def seconds(raw: Any) -> float:
    """A number of seconds, more than 0."""
    try:
        value = float(raw) if not isinstance(raw, bool) else math.nan
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise Malformed("takes seconds: a number more than 0")
    return value


def rate(raw: Any) -> float:
    """So many a second, more than 0."""
    try:
        return seconds(raw)
    except Malformed:
        raise Malformed("takes a rate: a number a second, more than 0") from None


def count(raw: Any) -> int:
    """A whole number from 1 on."""
    try:
        value = int(raw) if not isinstance(raw, (bool, float)) else 0
    except (TypeError, ValueError):
        value = 0
    if value < 1:
        raise Malformed("takes a whole number from 1 on")
    return value


def percent(raw: Any) -> int:
    """A whole number from 0 to 100."""
    try:
        value = int(raw) if not isinstance(raw, (bool, float)) else -1
    except (TypeError, ValueError):
        value = -1
    if not 0 <= value <= _ALL_PERCENT:
        raise Malformed("takes percent: a whole number from 0 to 100")
    return value


def port(raw: Any) -> int:
    """A TCP port; 0 is any that is free."""
    try:
        value = int(raw) if not isinstance(raw, (bool, float)) else -1
    except (TypeError, ValueError):
        value = -1
    if not 0 <= value <= _MAX_PORT:
        raise Malformed("takes a port: a whole number from 0 to 65535")
    return value


def size(raw: Any) -> int:
    """A number of bytes from 1 on; ``KiB`` and ``MiB`` may follow it."""
    written = str(raw).strip() if not isinstance(raw, (bool, float)) else ""
    number, unit = written, 1
    for suffix, factor in _UNITS.items():
        if written.endswith(suffix):
            number, unit = written.removesuffix(suffix).strip(), factor
    if not (number.isascii() and number.isdigit() and int(number)):
        raise Malformed("takes bytes: a whole number, with KiB or MiB after it if you like")
    return int(number) * unit


def switch(raw: Any) -> bool:
    """Yes or no."""
    said = str(raw).lower()
    if said not in _YES | _NO:
        raise Malformed("takes true or false")
    return said in _YES


def file(raw: Any) -> str:
    """A path; ``~`` is the user's home."""
    return str(Path(text(raw)).expanduser())


def choice(*known: str) -> Callable[[Any], str]:
    """One of a few words."""

    def read(raw: Any) -> str:
        if raw not in known:
            raise Malformed(f"takes {' or '.join(known)}")
        return str(raw)

    return read
