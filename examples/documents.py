"""Real documents, without any download: the long descriptions of the Python packages that are installed here.

    longreach run examples/documents.py
    longreach call docs.search words=install
    longreach call docs.outline name=rich
    longreach call docs.extract_text name=rich

Plain `def` handlers run in threads, so that parsing a long document holds nobody else up.
"""

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from itertools import pairwise
from typing import Annotated

from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec import Meta

from longreach import Server, ToolError

docs = Server("docs", version="1.4.0", title="Documents")


@dataclass
class Heading:
    """A heading; level 1 is the topmost."""

    level: int
    text: str


@dataclass
class Hit:
    """A document, and how often it holds what was sought."""

    document: str
    count: int


@docs.tool(read_only=True)
def extract_text(name: str) -> str:
    """The text of a document, without Markdown's marks.

    Args:
        name: of the package that it describes.
    """
    return plain_text(document(name))


@docs.tool(read_only=True)
def outline(name: str) -> list[Heading]:
    """The headings of a document, in order.

    Args:
        name: of the package that it describes.
    """
    tokens = MarkdownIt("commonmark").parse(document(name))
    return [
        Heading(int(opening.tag[1:]), text_of(content))
        for opening, content in pairwise(tokens)
        if opening.type == "heading_open"
    ]


@docs.tool(read_only=True)
def search(words: str, limit: Annotated[int, Meta(ge=1, le=50)] = 5) -> list[Hit]:
    """The documents that hold some words, those that hold them most often first.

    Args:
        words: as they stand, in upper or lower case.
        limit: how many documents to return.
    """
    wanted = words.casefold()
    counts = {name: text.casefold().count(wanted) for name, text in library().items()}
    found = [Hit(name, count) for name, count in counts.items() if count]
    return sorted(found, key=lambda hit: (-hit.count, hit.document))[:limit]


@cache
def library() -> dict[str, str]:
    """The Markdown documents by the name of their package."""
    about = {each.metadata["Name"].lower(): each.metadata.json for each in metadata.distributions()}
    return {
        name: str(facts["description"])
        for name, facts in sorted(about.items())
        if "description" in facts and "markdown" in str(facts.get("description_content_type"))
    }


def document(name: str) -> str:
    """The document about a package; a tool error where there is none."""
    if name not in library():
        raise ToolError(f"no document {name!r}; there are {', '.join(list(library())[:10])}, ...")
    return library()[name]


def plain_text(markdown: str) -> str:
    """The text that a reader sees, one block a line."""
    return "\n".join(filter(None, map(text_of, MarkdownIt("commonmark").parse(markdown))))


def text_of(token: Token) -> str:
    """The text of a block."""
    if token.type in ("fence", "code_block"):
        return token.content.rstrip()
    breaks = ("softbreak", "hardbreak")
    return "".join(" " if part.type in breaks else part.content for part in token.children or ())
