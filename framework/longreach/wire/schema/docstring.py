"""What a docstring says: a description, and a text for each parameter.

Google (``Args:``), NumPy (underlined ``Parameters``) and Sphinx (``:param x:``) styles.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Returns|Return|Raises|Yields|Examples?|Notes?|Source|Attributes):\s*$"
)
_GOOGLE = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
_SPHINX = re.compile(r"^:param\s+(?:[^:]*?\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_NUMPY = re.compile(r"^\*{0,2}(\w+)\s*(?::.*)?$")


class Docstring(NamedTuple):
    """A docstring's parts."""

    description: str | None
    parameters: dict[str, str]


def parse_docstring(text: str | None) -> Docstring:
    """The description before the first section, and the parameters' texts."""
    if not text:
        return Docstring(None, {})
    lines = inspect.cleandoc(text).splitlines()
    end = next((at for at in range(len(lines)) if _begins_section(lines, at)), len(lines))
    description = "\n".join(lines[:end]).strip() or None
    return Docstring(description, _parameters(lines[end:]))


def _begins_section(lines: list[str], at: int) -> bool:
    line = lines[at]
    return bool(_SECTION.match(line) or line.startswith(":") or _is_underlined(lines, at))


def _is_underlined(lines: list[str], at: int) -> bool:
    below = lines[at + 1].strip() if at + 1 < len(lines) else ""
    return bool(lines[at].strip()) and len(below) > 2 and set(below) == {"-"}


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for at, line in enumerate(lines):
        sphinx = _SPHINX.match(line)
        if sphinx:
            found[sphinx[1]] = [sphinx[2], *_deeper(lines, at, 0)]
        elif re.match(r"^(Args|Arguments|Parameters):\s*$", line):
            found.update(_google(lines, at + 1))
        elif _is_underlined(lines, at) and line.strip() in ("Parameters", "Args", "Arguments"):
            found.update(_numpy(lines, at + 2))
    return {name: " ".join(part for part in parts if part).strip() for name, parts in found.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _deeper(lines: list[str], at: int, than: int) -> list[str]:
    """The lines after `at` that are indented more than `than`."""
    deeper = []
    for line in lines[at + 1 :]:
        if not line.strip() or _indent(line) <= than:
            break
        deeper.append(line.strip())
    return deeper


def _google(lines: list[str], start: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    level = next((_indent(line) for line in lines[start:] if line.strip()), 0)
    for at in range(start, len(lines)):
        line = lines[at]
        if line.strip() and _indent(line) < max(level, 1):
            break
        match = _GOOGLE.match(line.strip())
        if match and _indent(line) == level:
            found[match[1]] = [match[2], *_deeper(lines, at, level)]
    return found


def _numpy(lines: list[str], start: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for at in range(start, len(lines)):
        line = lines[at]
        if _is_underlined(lines, at):
            break
        match = _NUMPY.match(line)
        if match and line.strip() and _indent(line) == 0:
            found[match[1]] = _deeper(lines, at, 0)
    return found
