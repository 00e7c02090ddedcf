"""Sealing: text that only the holders of a key ring can read and make.

A sealed text is ``lr1.<key id>.<base64url>``: 24 random bytes, then AES-256-GCM. The first 12 bytes make a
key for this one text out of the ring's, the others are the nonce, so that a ring may seal for ever without
the danger of a nonce used twice. Chance is an argument.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from longreach.errors import ConfigError, LongreachError

MAX_CHARS = 64 * 1024
"""The longest sealed text: it travels to the client and back with every round."""
KEY_BYTES = 32

_PREFIX = "lr1"
_EPHEMERAL = "ephemeral-"
_SALT_BYTES = 12
_NONCE_BYTES = 12
_PURPOSE = b"longreach state"
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")

Refusal = Literal[
    "altered", "unknown_key", "expired", "other_caller", "other_request", "other_arguments", "other_version"
]
"""Why a state is refused: a closed list."""


class StateRefused(LongreachError, ValueError):
    """A request state that is not taken; `reason` says why, the text also what to do."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message, reason=reason)


class StateTooLarge(LongreachError, ValueError):
    """What a call wants to remember is more than a client is asked to carry."""


class Key(NamedTuple):
    """One key; its `secret` is shown by nobody."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.id!r})"


class KeyRing(NamedTuple):
    """Keys by age, the newest first: that one seals, all open."""

    keys: tuple[Key, ...]

    def find(self, key_id: str) -> Key | None:
        """The key of that id; None if the ring has none."""
        return next((key for key in self.keys if key.id == key_id), None)


def parse_keys(text: str, source: str) -> KeyRing:
    """The ring in `text`: ``id:base64`` on each line, or separated by commas; ``#`` begins a comment.

    Args:
        text: the lines; the first key seals.
        source: where they come from, for errors, which never quote a line.

    Raises:
        ConfigError: a line is no key, or there is none.
    """
    keys: list[Key] = []
    lines = [part for line in text.splitlines() for part in line.partition("#")[0].split(",")]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        key = _key(line.strip())
        if key is None:
            raise ConfigError(
                f"key {number} of {source} is not id:base64 with {KEY_BYTES} bytes; "
                "make one with `longreach keys new`"
            )
        if any(key.id == other.id for other in keys):
            raise ConfigError(f"{source} has two keys called {key.id}; give each an id of its own")
        keys.append(key)
    if not keys:
        raise ConfigError(f"{source} holds no key; make one with `longreach keys new`")
    return KeyRing(tuple(keys))


def _key(line: str) -> Key | None:
    key_id, colon, encoded = line.partition(":")
    try:
        secret = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    fits = colon and _ID.fullmatch(key_id) and len(secret) == KEY_BYTES
    return Key(key_id, secret) if fits else None


def new_key(random: Callable[[int], bytes], *, ephemeral: bool = False) -> Key:
    """A fresh key; `random` gives as many random bytes as it is asked for.

    An ephemeral one ends with the processes that have it, and says so in its id.
    """
    return Key((_EPHEMERAL if ephemeral else "") + random(4).hex(), random(KEY_BYTES))


def is_ephemeral(key: Key) -> bool:
    """Whether a key was made to end with the processes that have it."""
    return key.id.startswith(_EPHEMERAL)


def key_line(key: Key) -> str:
    """The line of a key file: ``id:base64``."""
    return f"{key.id}:{base64.b64encode(key.secret).decode()}"


def seal(plain: bytes, ring: KeyRing, random: Callable[[int], bytes], also: bytes = b"") -> str:
    """`plain`, sealed with the ring's first key.

    Args:
        plain: what only holders of the ring may read.
        ring: its first key is used.
        random: gives as many random bytes as it is asked for.
        also: what must be the same when it is unsealed, and is not in the text.

    Raises:
        StateTooLarge: the text would be longer than `MAX_CHARS`.
        ConfigError: `cryptography` is not installed.
    """
    key = ring.keys[0]
    salt, nonce = random(_SALT_BYTES), random(_NONCE_BYTES)
    sealed = _cipher(key, salt).encrypt(nonce, plain, _bound(key, also))
    text = f"{_PREFIX}.{key.id}.{_encoded(salt + nonce + sealed)}"
    if len(text) > MAX_CHARS:
        raise StateTooLarge(
            f"what this call has to remember makes a request state of {len(text)} characters, and "
            f"{MAX_CHARS} is the most; keep large results elsewhere, and remember where"
        )
    return text


def unseal(text: str, ring: KeyRing, also: bytes = b"") -> bytes:
    """What was sealed, with the same `also`.

    Raises:
        StateRefused: the text was not sealed with a key of the ring, or was altered.
        ConfigError: `cryptography` is not installed.
    """
    prefix, _, rest = text.partition(".")
    key_id, dot, encoded = rest.partition(".")
    if len(text) > MAX_CHARS or prefix != _PREFIX or not dot or not _ID.fullmatch(key_id):
        raise _altered()
    key = ring.find(key_id)
    if key is None:
        raise StateRefused(
            "unknown_key",
            f"the request state was sealed with the key {key_id}, which this node does not have; make the "
            "request anew without requestState (operators: give all nodes of a server one key ring)",
        )
    data = _decoded(encoded)
    if data is None or len(data) < _SALT_BYTES + _NONCE_BYTES:
        raise _altered()
    cipher = _cipher(key, data[:_SALT_BYTES])
    nonce, sealed = data[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES], data[_SALT_BYTES + _NONCE_BYTES :]
    return _opened(cipher, nonce, sealed, _bound(key, also))


def _bound(key: Key, also: bytes) -> bytes:
    return key.id.encode() + b"." + also


def _altered() -> StateRefused:
    return StateRefused(
        "altered",
        "the request state is not as it was sent: return it unchanged, or make the request anew without it",
    )


class _Cipher:
    """AES-256-GCM, as far as it is used here."""

    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise ConfigError(
                "requests of several rounds need the package cryptography: pip install 'longreach[state]'"
            ) from None
        self._aead = AESGCM(key)
        self.invalid: type[Exception] = InvalidTag

    def encrypt(self, nonce: bytes, data: bytes, also: bytes) -> bytes:
        return self._aead.encrypt(nonce, data, also)

    def decrypt(self, nonce: bytes, data: bytes, also: bytes) -> bytes:
        return self._aead.decrypt(nonce, data, also)


def _cipher(key: Key, salt: bytes) -> _Cipher:
    return _Cipher(hashlib.blake2b(salt, key=key.secret, person=_PURPOSE, digest_size=KEY_BYTES).digest())


def _opened(cipher: _Cipher, nonce: bytes, sealed: bytes, also: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, sealed, also)
    except cipher.invalid:
        raise _altered() from None


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes | None:
    """The bytes; None where `text` is not the one way to write them."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return data if _encoded(data) == text else None
