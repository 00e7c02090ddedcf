"""What two gateways say to each other: a JSON head on one line, then bytes of a body.

Decoding is strict about types and lenient about unknown members. Source: docs/binding.md, Between gateways.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from longreach.wire.tokens import MAX_TOKEN_BYTES

OPEN: str = "open"
BEAT: str = "beat"
WINDOW_BYTES = 256 * 1024
"""Bytes of a response that may be on their way; more wait at the owner until the client has taken some."""
MAX_PER_BEAT = 512

Token = Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_BYTES, pattern="^[a-z0-9_=-]+$")]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
HeaderText = Annotated[str, Meta(pattern=r"^[\t\x20-\x7e\x80-\xff]*\Z")]
"""What may stand in a header: no line ends, and only what is one byte there."""
Pairs = list[tuple[HeaderText, HeaderText]]
Sender = tuple[Token, Token, Token]
"""The address of whoever sends: gateway, region, instance."""


class Open(msgspec.Struct, frozen=True, omit_defaults=True):
    """Answer this HTTP request; the frames come to me under `exchange`.

    `size` is that of the whole body; what is not in this message follows in `part` frames. `claims` are what
    nodes are told of the caller, until `until`, in seconds since 1970.
    """

    exchange: Token
    sender: Sender
    method: str
    path: str
    headers: Pairs
    query: str = ""
    server: str | None = None
    caller: str | None = None
    size: Count = 0
    window: Count = WINDOW_BYTES
    claims: dict[str, Any] | None = None
    until: float = 0.0
    client: str | None = None


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of an exchange.

    From the owner, each numbered by `seq` from 1 on, without a gap: `taken` (I have it), `head` (status and
    headers of the response), `body`, `end`, `failed` (there is no more to come, and it is not whole). From
    the asker: `part` (more of the request's body), `credit` (`total` bytes have been taken), `close`.
    """

    kind: Literal["taken", "head", "body", "end", "failed", "part", "credit", "close"]
    seq: Count = 0
    status: Annotated[int, Meta(ge=100, le=599)] = 200
    headers: Pairs = []
    total: Count = 0


class Beat(msgspec.Struct, frozen=True):
    """I am there, and wait for these exchanges; say to my verb `answer` which of them you do not have."""

    sender: Sender
    answer: Token
    exchanges: Annotated[list[Token], Meta(max_length=MAX_PER_BEAT)]


class Beaten(msgspec.Struct, frozen=True):
    """The answer to a beat."""

    gone: list[str]


_Head = TypeVar("_Head", Open, Frame, Beat, Beaten)
_decoders: dict[type, msgspec.json.Decoder[msgspec.Struct]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Open, Frame, Beat, Beaten)
}
_encode = msgspec.json.Encoder().encode


def encode(head: Open | Frame | Beat | Beaten, payload: bytes | memoryview = b"") -> bytes:
    """A message."""
    return b"\n".join((_encode(head), payload))


def decode(data: bytes, kind: type[_Head]) -> tuple[_Head, bytes]:
    """A message of that kind.

    Raises:
        ValueError: it is none.
    """
    head, _, payload = data.partition(b"\n")
    try:
        return _decoders[kind].decode(head), payload  # type: ignore[return-value]
    except RecursionError as error:
        raise ValueError(str(error)) from None
