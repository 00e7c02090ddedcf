"""What a request state holds, and for whom it is good."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from longreach.policy.journal import Entry
from longreach.policy.sealing import Refusal, StateRefused
from longreach.wire.tokens import NONE

_BYTES = 16
_ANEW = "make the request anew without requestState"
_TEXTS: dict[Refusal, str] = {
    "other_caller": f"the request state was given to another caller; {_ANEW}",
    "other_request": f"the request state belongs to another tool, prompt or resource; {_ANEW}",
    "other_arguments": "the request state belongs to other arguments: send those of the first time, or "
    f"{_ANEW}",
    "other_version": f"the request state was made by another version of this server; {_ANEW}",
    "expired": f"the request state has expired; {_ANEW}",
    "altered": f"the request state cannot be read; {_ANEW}",
}


class Bound(NamedTuple):
    """What a state is bound to, each part as a hash.

    Attributes:
        asker: namespace, caller, and whether the caller came through a gateway: not through which one, since
            the next round may come through another.
        request: server, method, name and URI.
        arguments: its arguments.
        version: the server's version, and the definition of what was asked for.
    """

    asker: bytes
    request: bytes
    arguments: bytes
    version: bytes


def bind(
    *,
    namespace: str,
    via: str,
    caller: str,
    server: str,
    method: str,
    name: str,
    uri: str,
    arguments: bytes,
    version: str,
    definition: bytes,
) -> Bound:
    """What a state of this request is bound to; arguments that are equal as JSON are the same."""
    return Bound(
        _hash(namespace, "directly" if via == NONE else "by gateway", caller),
        _hash(server, method, name, uri),
        _hash(_canonical(arguments)),
        _hash(version, definition),
    )


class Saved(msgspec.Struct, array_like=True, frozen=True):
    """A state's contents.

    Attributes:
        bound: whom and what it is for.
        expires_ms: when it ends, in wall-clock ms.
        explicit: the handler returned its requests, with `state`, and is told both.
        entries: the journal.
        state: the handler's own, JSON; None without one.
    """

    bound: Bound
    expires_ms: int
    explicit: bool
    entries: list[Entry]
    state: bytes | None = None


def encode_saved(saved: Saved) -> bytes:
    """The bytes to seal."""
    return msgspec.msgpack.encode(saved)


def decode_saved(data: bytes, bound: Bound, now_ms: int) -> Saved:
    """What was sealed, if it is good for this request, now.

    Raises:
        StateRefused: it is not.
    """
    try:
        saved = msgspec.msgpack.decode(data, type=Saved)
    except (msgspec.DecodeError, UnicodeDecodeError):  # sealed by a node of another kind
        raise _refused("altered") from None
    if saved.bound.asker != bound.asker:
        raise _refused("other_caller")
    if saved.bound.request != bound.request:
        raise _refused("other_request")
    if saved.bound.arguments != bound.arguments:
        raise _refused("other_arguments")
    if saved.bound.version != bound.version:
        raise _refused("other_version")
    if saved.expires_ms <= now_ms:
        raise _refused("expired")
    return saved


def _refused(reason: Refusal) -> StateRefused:
    return StateRefused(reason, _TEXTS[reason])


def _hash(*parts: str | bytes) -> bytes:
    """One hash over all parts, each with its length, so that none runs into the next."""
    found = hashlib.blake2b(digest_size=_BYTES)
    for part in parts:
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "big") + data)
    return found.digest()


def _canonical(arguments: bytes) -> bytes:
    """The arguments in the one way that they are written here."""
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments) or {}, order="deterministic")
    except (ValueError, RecursionError):  # they will be refused as arguments
        return arguments
