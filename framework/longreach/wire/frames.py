"""Frames before a response, and the bodies of control questions.

Decoding is strict about types and lenient about unknown members. Source: docs/binding.md 4, 6 to 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import msgspec
from msgspec import Raw

from longreach.wire.digest import digest

HEADER = "Lr"
"""The NATS header that makes a message a frame; its value is the frame's kind."""
MAX_CALLS_PER_ASK = 512
BINDING = 1


class Accepted(msgspec.Struct, frozen=True):
    """A node has the call."""

    identity: str
    instance: str
    region: str


class AliveRequest(msgspec.Struct, frozen=True):
    """Which of these calls do you still have?"""

    calls: list[str]


class AliveReply(msgspec.Struct, frozen=True, rename="camel"):
    """Those that are gone."""

    identity: str
    instance: str
    gone: list[str]
    clock_ms: int


class WhoseRequest(msgspec.Struct, frozen=True):
    """Who has these calls?"""

    calls: list[str]


class WhoseReply(msgspec.Struct, frozen=True, rename="camel"):
    """Those that are here, and those that have ended here; of all others, never."""

    identity: str
    instance: str
    region: str
    have: list[str]
    done: list[str]
    clock_ms: int


class CancelRequest(msgspec.Struct, frozen=True):
    """Nobody waits for these calls any more."""

    calls: list[str]
    reason: str | None = None


class BlobsRequest(msgspec.Struct, frozen=True):
    """Send what these digests stand for."""

    digests: list[str]


class BlobsReply(msgspec.Struct, frozen=True):
    """As many as fit, each one a JSON value; and those that are not here."""

    blobs: list[Raw]
    missing: list[str] = []


class Announcement(msgspec.Struct, frozen=True, rename="camel"):
    """One server on one node."""

    server: str
    version: str
    digest: str
    region: str
    identity: str
    instance: str
    state: Literal["up", "down"]
    seq: int
    clock_ms: int
    labels: dict[str, str] = {}
    binding: int = BINDING


class WhoReply(msgspec.Struct, frozen=True):
    """All announcements of one node."""

    announcements: list[Announcement]


class InfoReply(msgspec.Struct, frozen=True, rename="camel"):
    """How a node is."""

    identity: str
    instance: str
    region: str
    state: str
    servers: dict[str, str]
    in_flight: int
    uptime_s: float


class DrainReply(msgspec.Struct, frozen=True):
    """The drain has begun."""

    state: str


_Body = TypeVar("_Body", bound=msgspec.Struct)
_KINDS = (
    Accepted, AliveRequest, AliveReply, WhoseRequest, WhoseReply, CancelRequest, BlobsRequest, BlobsReply,
    Announcement, WhoReply, InfoReply, DrainReply,
)  # fmt: skip
_decoders: dict[type, msgspec.json.Decoder[msgspec.Struct]] = {
    kind: msgspec.json.Decoder(kind) for kind in _KINDS
}


def decode(data: bytes, kind: type[_Body]) -> _Body:
    """The body of a frame or a control message.

    Raises:
        msgspec.DecodeError: it is not one of that kind.
    """
    try:
        return _decoders[kind].decode(data)  # type: ignore[return-value]
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def pack_blobs(blobs: Mapping[str, bytes], wanted: Sequence[str], max_bytes: int) -> tuple[bytes, list[str]]:
    """A `BlobsReply` of as many of those wanted as fit, the first one in any case; and their digests."""
    parts: list[bytes] = []
    sent: list[str] = []
    missing = [name for name in wanted if name not in blobs]
    tail = b'],"missing":%s}' % msgspec.json.encode(missing)
    size = len(b'{"blobs":[') + len(tail)
    for name in wanted:
        blob = blobs.get(name)
        if blob is None:
            continue
        if parts and size + len(blob) + 1 > max_bytes:
            break
        parts.append(blob)
        sent.append(name)
        size += len(blob) + 1
    return b'{"blobs":[' + b",".join(parts) + tail, sent


def by_digest(reply: BlobsReply) -> dict[str, bytes]:
    """The blobs of a reply under digests that were computed here, not believed."""
    return {digest(data): data for data in map(bytes, reply.blobs)}
