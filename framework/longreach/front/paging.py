"""Lists in pages: a cursor names the last item of a page, so that it holds while the list changes. Pure."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from longreach.front.endings import Refused
from longreach.front.shelf import Item, Kind
from longreach.wire import codes

PAGE_ITEMS = 1000
PAGE_BYTES = 1024 * 1024
"""A page ends after so many items, or so many bytes, whichever is first."""

_cursor = msgspec.json.Decoder(tuple[Kind, str, str])


def page_start(items: Sequence[Item], kind: Kind, cursor: str | None) -> int:
    """Where the page after `cursor` begins.

    Args:
        items: by server and name.
        kind: of the items.
        cursor: None for the first page.

    Raises:
        Refused: it is none of ours.
    """
    if cursor is None:
        return 0
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        of, server, name = _cursor.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):  # msgspec's and Unicode's errors are ValueErrors
        raise Refused(
            codes.INVALID_PARAMS, "the cursor is none of this list; ask for the first page again"
        ) from None
    if of != kind:
        raise Refused(codes.INVALID_PARAMS, "the cursor is of another list; ask for the first page again")
    return bisect_right(items, (server, name), key=_place)


def page_end(items: Sequence[Item], start: int) -> int:
    """Where the page that begins at `start` ends; at least one item fits."""
    size = 0
    for at in range(start, min(len(items), start + PAGE_ITEMS)):
        size += len(items[at].data)
        if size > PAGE_BYTES and at > start:
            return at
    return min(len(items), start + PAGE_ITEMS)


def cursor_after(item: Item, kind: Kind) -> str:
    """The cursor of the page that ends with `item`."""
    data = msgspec.json.encode((kind, item.server, item.name))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _place(item: Item) -> tuple[str, str]:
    return (item.server, item.name)
