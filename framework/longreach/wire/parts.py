"""Bodies that no message holds: what is said of them, and the message of a part.

A message about parts is a JSON head on one line, then bytes. Source: docs/binding.md 16.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from longreach.wire.digest import DIGEST_CHARS
from longreach.wire.frames import Count, Name
from longreach.wire.tokens import MAX_TOKEN_BYTES

PARTS = "parts"
"""The kind of the frame, and of the request, that offers a body."""
PULL = "pull"
"""The kind of the frame with which a node asks for a range of a request."""
PART = "part"
"""The verb with which an asker asks for a range of a result."""
PUT = "put"
"""The verb with which an asker sends a range of a request."""
ENCODING = "zlib"

UNDERSTANDS = "-p"
"""How a `<connection>` ends whose asker understands parts."""
COMPRESSED = "-pz"
"""How one ends whose asker understands parts, and wants large results compressed."""

INLINE_BYTES = 32 * 1024
"""So much of a body may come with its offer."""
MAX_PART_BYTES = 256 * 1024
"""A range that is asked for, and a part that is sent, is no larger."""
HEAD_BYTES = 1024
"""Room for head and headers, beside the part itself."""

Positive = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class Offer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A body that can be had in parts.

    Attributes:
        size: of what is sent, in bytes.
        digest: of what is sent: BLAKE2b-128, base64url.
        encoding: what was done to the body before; None: nothing.
        raw: the size of the body itself, where it is encoded.
        identity: the node that has it; empty in requests.
        instance: of that node.
        region: of that node.
    """

    size: Positive
    digest: Annotated[str, Meta(min_length=DIGEST_CHARS, max_length=DIGEST_CHARS)]
    encoding: Literal["zlib"] | None = None
    raw: Positive | None = None
    identity: str = ""
    instance: str = ""
    region: str = ""

    @property
    def whole(self) -> int:
        """The size of the body itself."""
        return self.size if self.encoding is None or self.raw is None else self.raw


class PartRequest(msgspec.Struct, frozen=True):
    """Send `bytes` bytes of the result of `call` from `at` on; `at` its size: it has come whole."""

    call: Annotated[str, Meta(max_length=MAX_TOKEN_BYTES)]
    at: Count
    bytes: Count


class Pull(msgspec.Struct, frozen=True):
    """Put `bytes` bytes of the request from `at` on; and who asks for them."""

    identity: Name
    instance: Name
    region: Name
    at: Count
    bytes: Positive


class Put(msgspec.Struct, frozen=True):
    """The head of a part of the request of `call`."""

    call: Annotated[str, Meta(max_length=MAX_TOKEN_BYTES)]
    at: Count


Head = TypeVar("Head", bound=msgspec.Struct)
_decoders: dict[type, msgspec.json.Decoder[msgspec.Struct]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Offer, PartRequest, Pull, Put)
}


def pack(head: msgspec.Struct, data: bytes | memoryview = b"") -> bytes:
    """A message: a head, and bytes."""
    return b"".join((msgspec.json.encode(head), b"\n", data))


def unpack(message: bytes, kind: type[Head]) -> tuple[Head, bytes]:
    """What `pack` packed.

    Raises:
        msgspec.DecodeError: the head is not one of that kind.
    """
    line, _, data = message.partition(b"\n")
    try:
        return _decoders[kind].decode(line), data  # type: ignore[return-value]
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def understands(connection: str) -> bool:
    """Whether the asker of that `<connection>` understands parts."""
    return connection.endswith((UNDERSTANDS, COMPRESSED))


def wants_compressed(connection: str) -> bool:
    """Whether the asker of that `<connection>` wants large results compressed."""
    return connection.endswith(COMPRESSED)
