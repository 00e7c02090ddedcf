"""Bearer tokens of a file: one line each, ``principal:token``.

Tokens are kept, and looked up, as keyed hashes: how long that takes says nothing about a token.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from pathlib import Path

from longreach.errors import ConfigError
from longreach.observe import event
from longreach_gateway.auth.principal import Principal

_log = logging.getLogger("longreach.gateway.auth")
_MIN_LENGTH = 16
"""Shorter tokens can be guessed."""


class TokenFile:
    """The tokens of a file, read again when it changes.

    Args:
        path: the file.

    Raises:
        ConfigError: it cannot be read, or is malformed.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._key = secrets.token_bytes(32)
        self._stamp = self._stat()
        self._principals = self._read()

    def find(self, token: bytes) -> Principal | None:
        """Whose token it is."""
        digest = self._digest(token)
        known = self._principals.get(digest)
        if known is None or not hmac.compare_digest(known[0], digest):
            return None
        return known[1]

    def reload(self) -> bool:
        """Read the file again if it has changed; whether it has. What is malformed changes nothing."""
        try:
            stamp = self._stat()
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            self._principals = self._read()
        except ConfigError as error:
            event(_log, "tokens.unreadable", logging.ERROR, reason=str(error))
            return False
        event(_log, "tokens.reloaded", count=len(self._principals))
        return True

    def _stat(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise ConfigError(f"the tokens in {self._path} cannot be read: {error.strerror}") from None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> dict[bytes, tuple[bytes, Principal]]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the tokens in {self._path} cannot be read: {type(error).__name__}") from None
        found = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, colon, token = (part.strip() for part in line.rpartition(":"))
            where = f"line {number} of {self._path}"  # never the line itself
            if not (name and colon and token.isascii() and token.isprintable()) or " " in token:
                raise ConfigError(f"{where} is not principal:token")
            if len(token) < _MIN_LENGTH:
                raise ConfigError(f"the token in {where} is shorter than {_MIN_LENGTH} characters")
            digest = self._digest(token.encode())
            if digest in found:
                raise ConfigError(f"the token in {where} is another principal's too")
            found[digest] = (digest, Principal(name))
        return found

    def _digest(self, token: bytes) -> bytes:
        return hashlib.blake2b(token, key=self._key, digest_size=32).digest()
