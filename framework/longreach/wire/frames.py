"""Frames before a response, and the bodies of control questions.

Decoding is strict about types and lenient about unknown members. Source: docs/binding.md 4, 6 to 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from longreach.wire.digest import digest
from longreach.wire.tokens import MAX_TOKEN_BYTES

HEADER = "Lr"
"""The NATS header that makes a message a frame; its value is the frame's kind."""
ACCEPTED = "accepted"
NOTE = "note"
MAX_CALLS_PER_ASK = 512
"""A message that asks about more calls is malformed: it bounds what one message makes a node remember."""
MAX_ANNOUNCEMENT_BYTES = 16 * 1024
"""A larger announcement is malformed: it bounds what one node makes everybody remember."""
BINDING = 1

Name = Annotated[str, Meta(min_length=1)]
"""A name that becomes a subject token, which cannot be empty."""
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""An integer that every JSON reader holds exactly."""
Calls = Annotated[list[Annotated[str, Meta(max_length=MAX_TOKEN_BYTES)]], Meta(max_length=MAX_CALLS_PER_ASK)]
"""`<call>` tokens; their connection is that of the asking message's own reply subject. Nodes keep them."""


class Accepted(msgspec.Struct, frozen=True):
    """A node has the call."""

    identity: Name
    instance: Name
    region: Name


class AliveRequest(msgspec.Struct, frozen=True):
    """Which of these calls do you still have?"""

    calls: Calls


class AliveReply(msgspec.Struct, frozen=True, rename="camel"):
    """Those that are gone."""

    identity: Name
    instance: Name
    gone: list[str]
    clock_ms: Count


class WhoseRequest(msgspec.Struct, frozen=True):
    """Who has these calls?"""

    calls: Calls


class WhoseReply(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Those that are here, and those that have ended here; of all others, never.

    Whoever asks about no calls at all is told how the node announces the server that was asked for.
    `since_ms` is since when the node remembers every call that ended, by the clock of `clock_ms`; a node that
    remembers a minute leaves it out.
    """

    identity: Name
    instance: Name
    region: Name
    have: list[str]
    done: list[str]
    clock_ms: Count
    announcement: Announcement | UnsetType = UNSET
    since_ms: Count | UnsetType = UNSET

    @property
    def remembers_s(self) -> float:
        """How many seconds back the node remembers every call that ended; infinity: as long as it must."""
        if isinstance(self.since_ms, UnsetType):
            return float("inf")
        return max(0, self.clock_ms - self.since_ms) / 1000


class CancelRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nobody waits for these calls any more."""

    calls: Calls
    reason: str | None = None


class BlobsRequest(msgspec.Struct, frozen=True):
    """Send what these digests stand for."""

    digests: list[str]


class BlobsReply(msgspec.Struct, frozen=True):
    """As many as fit, each one a JSON value; and those that are not here.

    Attributes:
        blobs: each one a JSON value.
        missing: digests of what is not here, or fits no message.
        parts: by digest, the size in bytes of those missing that can be had range by range.
    """

    blobs: list[Raw]
    missing: list[str] = []
    parts: dict[str, Annotated[int, Meta(ge=1, le=2**53 - 1)]] = {}


Weight = Annotated[int, Meta(ge=0, le=99)]
"""A canary's share of calls, in percent; what takes 100 is none."""


class Stats(msgspec.Struct, frozen=True):
    """What became of the calls of one server on one node, since it started.

    Attributes:
        calls: how many ended.
        errors: how many of them failed, by the tool's own word too; those that did not begin are none.
    """

    calls: Count
    errors: Count


class Announcement(msgspec.Struct, frozen=True, rename="camel"):
    """One server on one node; `canary` is there while it takes a share of its own (docs/binding.md 15)."""

    server: Name
    version: str
    digest: str
    region: Name
    identity: Name
    instance: Name
    state: Literal["up", "down"]
    seq: Count
    clock_ms: Count
    labels: dict[str, str] = {}
    binding: int = BINDING
    canary: Weight | UnsetType = UNSET
    stats: Stats | UnsetType = UNSET


class WhoReply(msgspec.Struct, frozen=True):
    """All announcements of one node."""

    announcements: list[Announcement]


class InfoReply(msgspec.Struct, frozen=True, rename="camel"):
    """How a node is."""

    identity: Name
    instance: Name
    region: Name
    state: str
    servers: dict[str, str]
    in_flight: Count
    uptime_s: float


class CanaryRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Take this share of calls; without a weight, take part in the groups of all."""

    server: Name
    version: str
    weight: Weight | None = None


class CanaryReply(msgspec.Struct, frozen=True):
    """What is so now; `known` says whether the node has the server in that version."""

    server: str
    version: str
    weight: int | None
    known: bool


class DrainReply(msgspec.Struct, frozen=True):
    """The drain has begun."""

    state: str


_Body = TypeVar("_Body", bound=msgspec.Struct)
_KINDS = (
    Accepted, AliveRequest, AliveReply, WhoseRequest, WhoseReply, CancelRequest, BlobsRequest, BlobsReply,
    Announcement, WhoReply, InfoReply, DrainReply, CanaryRequest, CanaryReply,
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


def pack_blobs(
    blobs: Mapping[str, bytes],
    wanted: Sequence[str],
    max_bytes: int,
    parts_of: Mapping[str, int] | None = None,
) -> tuple[bytes, list[str]]:
    """A `BlobsReply` of as many of those wanted as fit, each once; and the digests of those in it.

    Args:
        blobs: what there is, by digest; each one JSON value.
        wanted: digests, in the order in which they are sent; the asker asks again for the rest.
        max_bytes: of the whole reply. The first blob goes in any case: without it, nobody would get on.
        parts_of: by digest, the size of those that can be had in parts.
    """
    wanted = list(dict.fromkeys(wanted))
    parts: list[bytes] = []
    sent: list[str] = []
    missing = [name for name in wanted if name not in blobs]
    offered = b',"parts":%s' % msgspec.json.encode(parts_of) if parts_of else b""
    tail = b'],"missing":%s%s}' % (msgspec.json.encode(missing), offered)
    size = len(b'{"blobs":[') + len(tail) - 1  # n blobs have n - 1 commas
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
