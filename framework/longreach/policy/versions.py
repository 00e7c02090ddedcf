"""Versions of servers, how they are ordered, and ranges of them: ``">=2,<3"``, ``"2"``, ``"2.1.*"``.

A version is whatever a server says; numbers are compared as numbers, and what comes after a hyphen is
before the version without it. A range is a list of conditions that all must hold.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from longreach.errors import ConfigError

_VERSION = re.compile(
    r"v?(\d{1,9}(?:\.\d{1,9})*)(?:-([^+]+)|\.?([A-Za-z][^+]*))?(?:\+.*)?", re.ASCII | re.DOTALL
)
_CONDITION = re.compile(r"(>=|<=|==|!=|>|<|=)?\s*([^\s<>=!,*]+?)(\.\*)?", re.ASCII)
_HINT = "write conditions such as '>=2,<3', a version such as '2.1.0', or the beginning of one: '2', '2.1.*'"
_MAX_DIGITS = 18
_Suffix = tuple[tuple[int, int, str], ...]


class Version(NamedTuple):
    """A version that can be compared: its numbers without zeros at the end, then what follows them.

    `final` is False for what comes before the version of the same numbers, such as ``2.0.0-rc1``.
    """

    numbers: tuple[int, ...]
    final: bool
    suffix: _Suffix


class Condition(NamedTuple):
    """One condition of a range; with `prefix` it is about the first numbers only."""

    operator: str
    version: Version
    numbers: tuple[int, ...]
    prefix: bool
    text: str


class VersionRange(NamedTuple):
    """Which versions may be used."""

    text: str
    conditions: tuple[Condition, ...]

    def fits(self, version: str) -> bool:
        """Whether a server of that version may be used."""
        return _fits(self.conditions, version)

    def __str__(self) -> str:
        return self.text


class Exactly(NamedTuple):
    """One version, by its text: also such as cannot be compared."""

    text: str

    def fits(self, version: str) -> bool:
        """Whether it is that one."""
        return version == self.text

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=4096)
def read_version(text: str) -> Version | None:
    """A version that can be compared; None: it does not begin with a number."""
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        return None
    numbers = tuple(map(int, match[1].split(".")))
    rest = match[2] or match[3]
    suffix = () if rest is None else tuple(map(_part, re.split(r"[.-]", rest)))
    return Version(_without_zeros(numbers), rest is None, suffix)


@lru_cache(maxsize=1024)
def parse_range(text: str) -> VersionRange:
    """The range that `text` says.

    Raises:
        ConfigError: it says none.
    """
    conditions = tuple(_condition(part.strip(), text) for part in text.split(","))
    return VersionRange(text, conditions)


def _condition(part: str, whole: str) -> Condition:
    match = _CONDITION.fullmatch(part)
    version = read_version(match[2]) if match is not None else None
    if match is None or version is None:
        raise ConfigError(f"{whole!r} is no range of versions: {_HINT}")
    operator = "==" if match[1] in (None, "=") else match[1]
    prefix = match[3] is not None or (match[1] is None and version.final)
    if prefix and (not version.final or operator not in ("==", "!=")):
        raise ConfigError(f"{part!r} in {whole!r} is no condition: {_HINT}")
    numbers = tuple(map(int, match[2].removeprefix("v").split("+")[0].split("."))) if version.final else ()
    return Condition(operator, version, numbers, prefix, match[2])


@lru_cache(maxsize=4096)
def _fits(conditions: tuple[Condition, ...], text: str) -> bool:
    version = read_version(text)
    return version is not None and all(_holds(condition, version) for condition in conditions)


def _holds(condition: Condition, version: Version) -> bool:
    limit = condition.version
    if condition.prefix:
        padded = version.numbers + (0,) * (len(condition.numbers) - len(version.numbers))
        return (padded[: len(condition.numbers)] == condition.numbers) == (condition.operator == "==")
    match condition.operator:
        case "==":
            return version == limit
        case "!=":
            return version != limit
        case ">=":
            return version >= limit
        case "<=":
            return version <= limit
        case ">":
            return version > limit
        case _:  # "<3" does not mean 3.0.0-rc1
            return version < limit and (not limit.final or version.numbers != limit.numbers)


def _without_zeros(numbers: tuple[int, ...]) -> tuple[int, ...]:
    last = max((at for at, number in enumerate(numbers) if number), default=0)
    return numbers[: last + 1]


def _part(text: str) -> tuple[int, int, str]:
    """Numbers come before words, as in semantic versions; a number that nobody can mean is a word."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return (0, int(text), "") if is_number else (1, 0, text)
