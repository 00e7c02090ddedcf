"""A large body, made ready for its way in parts, and back. Slow for what is large: for a thread.

Source: docs/binding.md 16.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from longreach.wire.digest import digest
from longreach.wire.parts import ENCODING, Offer

_LEVEL = 1
"""JSON shrinks to a few percent more than at the usual level, three times as fast."""


class Damaged(ValueError):
    """What came is not what was offered."""


class Packed(NamedTuple):
    """What is sent, and the offer that says so."""

    offer: Offer
    data: bytes


def pack_body(
    body: bytes, compress: bool, *, identity: str = "", instance: str = "", region: str = ""
) -> Packed:
    """`body` as it is sent; compressed if it is to be, and becomes smaller."""
    encoding, data = None, body
    if compress:
        smaller = zlib.compress(body, _LEVEL)
        if len(smaller) < len(body):
            encoding, data = ENCODING, smaller
    raw = None if encoding is None else len(body)
    return Packed(Offer(len(data), digest(data), encoding, raw, identity, instance, region), data)  # type: ignore[arg-type]


def unpack_body(offer: Offer, data: bytes | bytearray) -> bytes:
    """The body that was offered, from all that came.

    Raises:
        Damaged: it is another.
    """
    if len(data) != offer.size or digest(data) != offer.digest:
        raise Damaged("what came in parts is not what was offered: its digest is another")
    if offer.encoding is None:
        return bytes(data)
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(data, offer.whole + 1)
    except zlib.error as error:
        raise Damaged(f"what came in parts cannot be unpacked: {error}") from None
    if not inflater.eof or inflater.unused_data or len(body) != offer.whole:
        raise Damaged("what came in parts is, unpacked, not of the size that was offered")
    return body
