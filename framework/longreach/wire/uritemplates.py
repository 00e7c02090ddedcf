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
_ONE = r"[^/?#\[\]@!$&'()*+,;:=]+"


class UriTemplate(NamedTuple):
    """A template; `variables` in the order in which they come."""

    text: str
    variables: tuple[str, ...]
    pattern: re.Pattern[str]

    def match(self, uri: str) -> dict[str, str] | None:
        """What each variable stands for in `uri`, percent-decoded; None if it is no URI of this template."""
        found = self.pattern.fullmatch(uri)
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
    return UriTemplate(text, tuple(names), re.compile(pattern + re.escape(text[at:]), re.DOTALL))
