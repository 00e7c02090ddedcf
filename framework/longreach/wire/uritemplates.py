"""URI templates of RFC 6570, as far as resources use them: `{name}` and `{+name}`.

`{name}` stands for one part of a URI, without reserved characters as they are; `{+name}` for any part,
slashes included. Source: RFC 6570, level 1 and the `+` of level 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

from longreach.errors import DeclarationError

_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_VARIABLE = re.compile(r"(\+?)([A-Za-z_][A-Za-z0-9_]*)")
_RESERVED = ":/?#[]@!$&'()*+,;=%"
MAX_URI_CHARS = 2048
"""A longer URI is one of no template: it bounds how long a match can take, whoever wrote the URI."""
_MAX_FREEDOM = 2
"""A match may take time in proportion to this power of the URI's length, and one more."""
_ONE = r"[^/?#\[\]@!$&'()*+,;:=]+"


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\x7f]+")


def is_uri(text: str) -> bool:
    """Whether `text` begins with a scheme and holds no blanks; of a template too."""
    return _SCHEME.fullmatch(text) is not None


class UriTemplate(NamedTuple):
    """A template; `variables` in the order in which they come."""

    text: str
    variables: tuple[str, ...]
    pattern: re.Pattern[str]

    def match(self, uri: str) -> dict[str, str] | None:
        """What each variable stands for in `uri`, percent-decoded; None if it is no URI of this template."""
        found = self.pattern.fullmatch(uri) if len(uri) <= MAX_URI_CHARS else None
        if found is None:
            return None
        try:
            return {name: unquote(value, errors="strict") for name, value in found.groupdict().items()}
        except UnicodeDecodeError:
            return None

    def expand(self, values: Mapping[str, str]) -> str:
        """The URI for `values`.

        Raises:
            KeyError: a variable has no value.
        """

        def one(expression: re.Match[str]) -> str:
            variable = expression[1]
            plus = variable.startswith("+")
            return quote(values[variable.removeprefix("+")], safe=_RESERVED if plus else "")

        return _EXPRESSION.sub(one, self.text)


def parse_template(text: str) -> UriTemplate | None:
    """The template that `text` is; None if it is an ordinary URI.

    Raises:
        DeclarationError: it has braces, and is no template that is understood here.
    """
    pattern, names, at = "", [], 0
    for expression in _EXPRESSION.finditer(text):
        variable = _VARIABLE.fullmatch(expression[1])
        if variable is None or variable[2] in names:
            raise DeclarationError(
                f"{text!r}: {expression[0]} is not understood; use {{name}} or {{+name}}, each name once"
            )
        names.append(variable[2])
        pattern += re.escape(text[at : expression.start()])
        pattern += f"(?P<{variable[2]}>{'.+' if variable[1] else _ONE})"
        at = expression.end()
    rest = _EXPRESSION.sub("", text)
    if "{" in rest or "}" in rest:
        raise DeclarationError(f"{text!r} has a brace that nothing closes or opens")
    if not names:
        return None
    if _freedom(text) > _MAX_FREEDOM:
        raise DeclarationError(f"{text!r} can be read in too many ways: put a / between its variables")
    return UriTemplate(text, tuple(names), re.compile(pattern + re.escape(text[at:]), re.DOTALL))


def _freedom(text: str) -> int:
    """How many of the borders between variables a match has to search for."""
    plus = text.count("{+")
    freedom, in_part = max(0, plus - 1), 0
    for at, piece in enumerate(_EXPRESSION.split(text)):
        if at % 2 == 0:
            in_part = 0 if set(piece) & set(_RESERVED) else in_part
        elif not piece.startswith("+"):
            freedom += in_part > 0
            in_part += 1
    return freedom


def resembles(text: str, uri: str) -> bool:
    """Whether `uri` could be one of the template `text`, which may be one that `parse_template` refuses.

    Each expression stands for anything here, nothing included. Takes time in proportion to the URI.
    """
    first, *rest = _EXPRESSION.split(text)[::2]
    if not rest:
        return text == uri
    if len(uri) > MAX_URI_CHARS or not uri.startswith(first):
        return False
    *middle, last = rest
    at, end = len(first), len(uri) - len(last)
    for piece in middle:
        at = uri.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return at <= end and uri.endswith(last)
