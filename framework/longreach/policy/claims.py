"""Claims of users: what a gateway found in a valid token, signed by it and checked by the nodes.

A signed text is ``lrc1.<key id>.<payload>.<signature>``, both in base64url without padding. The payload is
JSON: ``{"ns","via","caller","server","exp","claims"}``, the first four as they are in the request's subject,
`exp` in milliseconds since 1970. The signature is Ed25519, of what precedes its dot. The time is an argument.
Source: docs/binding.md 17.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from longreach.errors import ConfigError, LongreachError

HEADER: Final = "Lr-Claims"
"""The NATS header of a request that has them."""
LIFE_MS: Final = 60_000
"""How long a signed text is good for; a gateway signs anew for each attempt that needs it."""
MAX_LIFE_MS: Final = 300_000
"""A node takes none that claims to be good for longer than this."""
LEEWAY_MS: Final = 5_000
"""So far may the clocks of a gateway and a node differ."""
MAX_CLAIMS_BYTES: Final = 4096
MAX_CHARS: Final = 8192

_PREFIX = "lrc1"
_NEEDS = "signed claims need the package cryptography: pip install 'longreach[state]'"
_KEY_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")

Half = Literal["private", "public"]
Refusal = Literal["malformed", "unknown_key", "altered", "expired", "other_request"]
"""Why claims are refused: a closed list."""


class ClaimsRefused(LongreachError, ValueError):
    """Claims that are not taken; `reason` says why."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message, reason=reason)


class Bound(NamedTuple):
    """The request that claims are for: tokens, as in its subject."""

    namespace: str
    via: str
    caller: str
    server: str


class Key(NamedTuple):
    """One half of a pair of keys; its bytes are shown by nobody."""

    id: str
    half: Half
    raw: bytes

    def __repr__(self) -> str:
        return f"Key({self.id!r}, {self.half!r})"

    @property
    def line(self) -> str:
        """Its line in a file."""
        return f"{self.id}:{self.half}:{base64.b64encode(self.raw).decode()}"


class Opened(NamedTuple):
    """Claims that were found valid: a JSON object, and until when, in milliseconds since 1970."""

    claims: bytes
    expires_ms: int


class _Payload(msgspec.Struct):
    ns: str
    via: str
    caller: str
    server: str
    exp: int
    claims: msgspec.Raw


_decode_payload = msgspec.json.Decoder(_Payload).decode
_decode_claims = msgspec.json.Decoder(dict[str, Any]).decode


def new_pair(random: Callable[[int], bytes]) -> tuple[Key, Key]:
    """A fresh pair, the private half first; `random` gives as many random bytes as it is asked for."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise ConfigError(_NEEDS) from None
    key_id, seed = f"claims-{random(4).hex()}", random(_KEY_BYTES)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return Key(key_id, "private", seed), Key(key_id, "public", public)


def parse_keys(text: str, half: Half, source: str) -> tuple[Key, ...]:
    """The keys of a file: ``id:private:base64`` or ``id:public:base64``, one a line; ``#`` begins a comment.

    Args:
        text: the lines.
        half: which half of pairs they must be.
        source: where they come from, for errors, which never quote a line.

    Raises:
        ConfigError: a line is no such key, two have one id, or there is none.
    """
    keys: dict[str, Key] = {}
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    for number, line in enumerate((line for line in lines if line), 1):
        key = _key(line)
        if key is None:
            raise ConfigError(
                f"key {number} of {source} is not id:{half}:base64 with {_KEY_BYTES} bytes; "
                "make a pair with `longreach keys new --claims`"
            )
        if key.half != half:
            other = "gateways sign with the private one" if half == "private" else "nodes need the public one"
            raise ConfigError(f"key {number} of {source} is the {key.half} half of a pair; {other}")
        if key.id in keys:
            raise ConfigError(f"{source} has two keys called {key.id}; give each an id of its own")
        keys[key.id] = key
    if not keys:
        raise ConfigError(f"{source} holds no key; make a pair with `longreach keys new --claims`")
    return tuple(keys.values())


def _key(line: str) -> Key | None:
    key_id, _, rest = line.partition(":")
    half, _, encoded = rest.partition(":")
    try:
        raw = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    if half not in ("private", "public") or not _ID.fullmatch(key_id) or len(raw) != _KEY_BYTES:
        return None
    return Key(key_id, "private" if half == "private" else "public", raw)


class Signer:
    """Signs claims.

    Args:
        key: a private one.

    Raises:
        ConfigError: `cryptography` is not installed.
    """

    def __init__(self, key: Key) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError:
            raise ConfigError(_NEEDS) from None
        self._id = key.id
        self._key = Ed25519PrivateKey.from_private_bytes(key.raw)

    def sign(self, bound: Bound, claims: bytes, expires_ms: int) -> str:
        """The text that carries `claims`, a JSON object, for the requests of `bound`."""
        payload = _Payload(
            bound.namespace, bound.via, bound.caller, bound.server, expires_ms, msgspec.Raw(claims)
        )
        said = f"{_PREFIX}.{self._id}.{_to_text(msgspec.json.encode(payload))}"
        return f"{said}.{_to_text(self._key.sign(said.encode()))}"


class Verifier:
    """Checks claims.

    Args:
        keys: public ones, of all gateways that are trusted.

    Raises:
        ConfigError: `cryptography` is not installed.
    """

    def __init__(self, keys: tuple[Key, ...]) -> None:
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            raise ConfigError(_NEEDS) from None
        self._invalid = InvalidSignature
        self._keys: Mapping[str, Ed25519PublicKey] = {
            key.id: Ed25519PublicKey.from_public_bytes(key.raw) for key in keys
        }

    def open(self, text: str, bound: Bound, now_ms: int) -> Opened:
        """The claims in `text`, if it was signed for the requests of `bound` and is still good.

        What costs least is looked at first: a text that is for somebody else costs no signature's check.

        Raises:
            ClaimsRefused: it is not taken.
        """
        said, _, signature = text.rpartition(".")
        parts = said.split(".")
        if len(text) > MAX_CHARS or len(parts) != 3 or parts[0] != _PREFIX:
            raise ClaimsRefused("malformed", "they are no signed claims of this version")
        key = self._keys.get(parts[1])
        if key is None:
            raise ClaimsRefused("unknown_key", "they are signed by a key that this node does not have")
        payload = _read(parts[2])
        check(Bound(payload.ns, payload.via, payload.caller, payload.server), payload.exp, bound, now_ms)
        try:
            key.verify(_from_text(signature), said.encode())
        except (self._invalid, ValueError):
            raise ClaimsRefused("altered", "their signature is wrong") from None
        claims = bytes(payload.claims)
        try:
            _decode_claims(claims)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ClaimsRefused("malformed", "they are no JSON object") from None
        return Opened(claims, payload.exp)


def check(stated: Bound, expires_ms: int, bound: Bound, now_ms: int) -> None:
    """Whether claims are for this request, and still good.

    Raises:
        ClaimsRefused: they are not.
    """
    if stated != bound:
        raise ClaimsRefused("other_request", "they are for another caller, gateway, server or namespace")
    left_ms = expires_ms - now_ms
    if left_ms <= -LEEWAY_MS:
        raise ClaimsRefused("expired", "they have expired")
    if left_ms > MAX_LIFE_MS + LEEWAY_MS:
        raise ClaimsRefused("expired", "they would be good for longer than claims may be")


def _read(text: str) -> _Payload:
    try:
        return _decode_payload(_from_text(text))
    except (ValueError, RecursionError):
        raise ClaimsRefused("malformed", "they cannot be read") from None


def _to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_text(text: str) -> bytes:
    """What `_to_text` made a text of.

    Raises:
        ValueError: it is none.
    """
    if not _BASE64URL.fullmatch(text):
        raise ValueError("no base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _to_text(data) != text:  # one way to write each
        raise ValueError("no base64url")
    return data
