"""Pages of what a server offers.

A cursor says after which name the next page begins, so that any replica can go on where another stopped,
and a listing that changes meanwhile loses nothing that was in it all the time.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Iterable

    from longreach.wire.manifest import Definition


class WrongCursor(ValueError):
    """A cursor that no page of this listing had."""


class Page(NamedTuple):
    """A part of a listing, as a JSON array; `next_cursor` is None at the end."""

    items: Raw
    next_cursor: str | None


def page_of(definitions: Iterable[Definition], kind: str, cursor: str | None, max_bytes: int) -> Page:
    """The definitions after `cursor`, by name, as many as fit; at least one, if there is one.

    Raises:
        WrongCursor: `cursor` is of no such listing.
    """
    after = None if cursor is None else _decode_cursor(kind, cursor)
    left = sorted(one for one in definitions if after is None or one.name > after)
    parts: list[bytes] = []
    for definition in left:
        max_bytes -= len(definition.data) + 1
        if max_bytes < 0 and parts:
            break
        parts.append(definition.data)
    more = len(parts) < len(left)
    next_cursor = encode_cursor(kind, left[len(parts) - 1].name) if more else None
    return Page(Raw(b"[%s]" % b",".join(parts)), next_cursor)


def encode_cursor(kind: str, name: str) -> str:
    """The cursor of a page that ends with `name`."""
    return base64.urlsafe_b64encode(f"{kind} {name}".encode()).decode()


def _decode_cursor(kind: str, cursor: str) -> str:
    try:
        told, _, name = base64.b64decode(cursor.encode(), b"-_", validate=True).decode().partition(" ")
    except (binascii.Error, UnicodeError):
        told, name = "", ""
    if told != kind:
        raise WrongCursor("this cursor is of no page of this listing; begin again without one")
    return name
