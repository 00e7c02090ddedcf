"""Real documents that every installation has: the long descriptions of installed Python packages."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from longreach.errors import ConfigError, ToolError

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MIN_CHARS = 1_000
_MAX_CHARS = 8_000
"""Longer documents take tens of milliseconds to parse, which is no fast tool any more."""
_EXCERPT_CHARS = 80


class Heading(msgspec.Struct, frozen=True):
    """A heading of a document; `level` 1 is the topmost."""

    level: int
    text: str


class Hit(msgspec.Struct, frozen=True):
    """A document that holds what was sought: how often, and where first."""

    document: str
    count: int
    excerpt: str


@cache
def documents() -> dict[str, str]:
    """The Markdown documents by the name of their package, read once."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        text = _description(distribution)
        if _MIN_CHARS <= len(text) <= _MAX_CHARS:
            found[distribution.metadata["Name"].lower()] = text
    return dict(sorted(found.items()))


def document(name: str) -> str:
    """The Markdown text of `name`.

    Raises:
        ToolError: there is no such document; the message lists some of those that there are.
    """
    known = documents()
    if name not in known:
        raise ToolError(f"no document {name!r}; there are {', '.join(list(known)[:12])}, ...")
    return known[name]


def plain_text(markdown: str) -> str:
    """What a reader sees of `markdown`: its text without marks, one block a line."""
    return "\n".join(filter(None, (_text(token) for token in _parser().parse(markdown))))


def headings(markdown: str) -> list[Heading]:
    """The headings of `markdown`, in order."""
    tokens = _parser().parse(markdown)
    return [
        Heading(int(before.tag[1:]), _text(token).strip())
        for before, token in pairwise(tokens)
        if before.type == "heading_open"
    ]


@cache
def library() -> dict[str, tuple[str, str]]:
    """The plain text of each document, as it is and in lower case; made once."""
    texts = {name: plain_text(markdown) for name, markdown in documents().items()}
    return {name: (text, text.casefold()) for name, text in texts.items()}


def search(words: str, limit: int) -> list[Hit]:
    """The documents that hold `words`, those that hold it most often first."""
    wanted = words.casefold()
    hits = [
        _hit(name, text, folded, wanted) for name, (text, folded) in library().items() if wanted in folded
    ]
    return sorted(hits, key=lambda hit: (-hit.count, hit.document))[:limit]


def _description(distribution: metadata.Distribution) -> str:
    about = distribution.metadata.json
    kind = about.get("description_content_type", "")
    return str(about.get("description", "")) if str(kind).startswith("text/markdown") else ""


def _hit(name: str, text: str, folded: str, wanted: str) -> Hit:
    at = folded.index(wanted)
    start = max(0, at - _EXCERPT_CHARS // 2)
    excerpt = " ".join(text[start : at + len(wanted) + _EXCERPT_CHARS // 2].split())
    return Hit(name, folded.count(wanted), excerpt)


@cache
def _parser() -> MarkdownIt:
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise ConfigError("the demo reads Markdown: pip install 'longreach[demo]'") from error
    return MarkdownIt("commonmark")


def _text(token: Token) -> str:
    if token.type in ("fence", "code_block"):
        return token.content.rstrip()
    return "".join(_inline(child) for child in token.children or ())


def _inline(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return " "
    return token.content if token.type in ("text", "code_inline", "image") else ""
