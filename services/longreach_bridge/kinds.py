"""The four kinds of things that a server offers, and how MCP lists each of them."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["tool", "prompt", "resource", "template"]


class Listing(NamedTuple):
    """How one kind is listed.

    Attributes:
        kind: of what is listed.
        method: the request that lists it.
        member: of the result, that holds the definitions.
        key: of a definition, that names it among its kind.
    """

    kind: Kind
    method: str
    member: str
    key: str


LISTINGS: Final = (
    Listing("tool", "tools/list", "tools", "name"),
    Listing("prompt", "prompts/list", "prompts", "name"),
    Listing("resource", "resources/list", "resources", "uri"),
    Listing("template", "resources/templates/list", "resourceTemplates", "uriTemplate"),
)
