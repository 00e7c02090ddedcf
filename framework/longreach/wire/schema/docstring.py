"""What a docstring says: a description, and a text for each parameter.

Google (``Args:``), NumPy (underlined ``Parameters``) and Sphinx (``:param x:``) styles.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

_PARAMETERS = frozenset(
    {"Args", "Arguments", "Parameters", "Params", "Keyword Args", "Keyword Arguments", "Other Parameters"}
)
_OTHER = frozenset(
    {
        "Returns", "Return", "Raises", "Yields", "Yield", "Warns", "Example", "Examples", "Note", "Notes",
        "Source", "See Also", "References", "Attributes", "Todo",
    }
)  # fmt: skip
_FIELD = re.compile(
    r"^:(param|parameter|arg|argument|key|keyword|type|return|returns|rtype|raise|raises|except|yield|yields)"
    r"\b[^:]*:"
)
_SPHINX = re.compile(r"^:(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_GOOGLE = re.compile(r"^\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*))?$")
_NUMPY = re.compile(r"^\*{0,2}(\w+)((?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


class Docstring(NamedTuple):
    """A docstring's parts."""

    description: str | None
    parameters: dict[str, str]


def parse_docstring(text: str | None) -> Docstring:
    """Everything that is in no section, as the description; and the parameters' texts."""
    if not text:
        return Docstring(None, {})
    lines = inspect.cleandoc(text).splitlines()
    end = next((at for at in range(len(lines)) if _begins_section(lines, at)), len(lines))
    prose = [lines[:end], *_after_sections(lines, end)]
    description = "\n\n".join(filter(None, ("\n".join(block).strip() for block in prose))) or None
    return Docstring(description, _parameters(lines[end:]))


def _after_sections(lines: list[str], start: int) -> list[list[str]]:
    """The prose after each section: after a blank line, not indented, and no entry of NumPy's."""
    blocks: list[list[str]] = []
    inside, underlined = True, False
    for at in range(start, len(lines)):
        line = lines[at]
        if _begins_section(lines, at):
            inside, underlined = True, _is_underlined(lines, at)
        elif inside and line.strip() and _indent(line) == 0 and not lines[at - 1].strip():
            # In NumPy's style entries, and the text of notes, are not indented either.
            inside = underlined and (_NUMPY.match(line) is not None or not _names_parameters(lines, at))
            if not inside:
                blocks.append([])
        if not inside:
            blocks[-1].append(line)
    return blocks


def _names_parameters(lines: list[str], at: int) -> bool:
    """Whether the last section that begins before line `at` is about parameters."""
    names = [_section(lines, before) for before in range(at)]
    return next((name for name in reversed(names) if name is not None), None) in _PARAMETERS


def _begins_section(lines: list[str], at: int) -> bool:
    return _section(lines, at) is not None or _FIELD.match(lines[at]) is not None


def _section(lines: list[str], at: int) -> str | None:
    """The name of the section that line `at` opens, Google's with a colon, NumPy's underlined."""
    name = lines[at].rstrip().removesuffix(":")
    if name not in _PARAMETERS and name not in _OTHER:
        return None
    return name if lines[at].rstrip().endswith(":") or _is_underlined(lines, at) else None


def _is_underlined(lines: list[str], at: int) -> bool:
    below = lines[at + 1].strip() if at + 1 < len(lines) else ""
    return len(below) > 2 and set(below) <= {"-", "="}


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for at, line in enumerate(lines):
        sphinx = _SPHINX.match(line)
        if sphinx:
            found[sphinx[1]] = [sphinx[2], *_deeper(lines, at, 0)]
        elif _section(lines, at) in _PARAMETERS:
            if _is_underlined(lines, at):
                found.update(_numpy(lines, at + 2))
            else:
                found.update(_google(lines, at + 1))
    texts = {name: " ".join(part for part in parts if part).strip() for name, parts in found.items()}
    return {name: text for name, text in texts.items() if text}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _deeper(lines: list[str], at: int, than: int) -> list[str]:
    """The lines after `at` that are indented more than `than`, over blank ones too."""
    deeper = []
    for line in lines[at + 1 :]:
        if line.strip() and _indent(line) <= than:
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
            found[match[1]] = [match[2] or "", *_deeper(lines, at, level)]
    return found


def _numpy(lines: list[str], start: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for at in range(start, len(lines)):
        line = lines[at]
        if _begins_section(lines, at):
            break
        match = _NUMPY.match(line)
        if match and _indent(line) == 0:
            names = [match[1], *re.findall(r"\w+", match[2])]
            found.update(dict.fromkeys(names, _deeper(lines, at, 0)))
    return found
