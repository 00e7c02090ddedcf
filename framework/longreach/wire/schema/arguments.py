"""Wrong arguments, each one named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

_AT = re.compile(r"^(.*?)(?: - at (?:key in )?`(\$.*)`)?$", re.DOTALL)


class Problem(NamedTuple):
    """One wrong argument: where, and what is wrong with it."""

    path: str
    what: str


class InvalidArguments(ValueError):
    """Arguments that do not fit; the text names each wrong one, and what was expected."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        listed = "; ".join(f"{p.path}: {p.what}" if p.path else p.what for p in problems)
        super().__init__(f"wrong arguments: {listed}")


def explain(
    raw: bytes | msgspec.Raw,
    decoders: Mapping[str, msgspec.json.Decoder[Any]],
    required: frozenset[str],
    whole: str,
) -> InvalidArguments:
    """What is wrong with `raw`, argument by argument; `whole` is what was wrong with all of it."""
    try:
        given = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return InvalidArguments([Problem("", "expected an object with the arguments by name")])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return InvalidArguments([Problem("", "the arguments are not JSON")])
    problems = [Problem(name, "is missing") for name in sorted(required - given.keys())]
    for name, value in given.items():
        decoder = decoders.get(name)
        if decoder is None:
            known = ", ".join(decoders) or "none"
            problems.append(Problem(name, f"there is no such argument; there are: {known}"))
            continue
        try:
            decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            problems.append(_problem(name, str(error)))
    return InvalidArguments(problems or [Problem("", whole)])


def _problem(name: str, message: str) -> Problem:
    match = _AT.match(message)
    if match is None:
        return Problem(name, message)
    path = name + (match[2] or "$")[1:]
    what = match[1]
    return Problem(path, what[:1].lower() + what[1:])
