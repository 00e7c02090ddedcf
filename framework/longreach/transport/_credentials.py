"""Whether credentials have changed, and when they expire: what a link asks now and then."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import time
from typing import NamedTuple

import msgspec

from longreach.errors import ConfigError
from longreach.transport.options import NatsOptions, read_creds

_VALUES = ("token", "user", "password", "nkey_seed", "creds")
_FILES = (
    "token_file",
    "password_file",
    "nkey_seed_file",
    "creds_file",
    "tls_ca",
    "tls_cert",
    "tls_key",
)
_JWT = re.compile(r"BEGIN NATS USER JWT-+\s+[\w-]+\.([\w-]+)\.[\w-]+")
_LATE_SHARE = 0.2
_LATE_S = 60.0

Stamp = tuple[object, ...]
"""Changes when credentials do: what is given itself, and what the file system says of files."""


class _Claims(msgspec.Struct):
    exp: float = 0.0
    iat: float = 0.0


class Life(NamedTuple):
    """From when to when credentials are good, in seconds since the epoch."""

    began: float
    ends: float

    def left_s(self) -> float:
        """Seconds until the end, by this machine's clock."""
        return self.ends - time.time()

    def is_late(self) -> bool:
        """Whether by now they should have been renewed."""
        return self.left_s() < min(_LATE_S, _LATE_SHARE * (self.ends - self.began))


def stamp(options: NatsOptions) -> Stamp:
    """Take this before the files are read: what is written afterwards is then seen as a change."""
    values = tuple(getattr(options, name) for name in _VALUES)
    return values + tuple(_looks(getattr(options, name)) for name in _FILES)


def _looks(file: str | None) -> object:
    if file is None:
        return None
    try:
        found = os.stat(os.path.expanduser(file))  # follows links, which mounted secrets are
    except OSError:
        return "not there"
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def life(options: NatsOptions) -> Life | None:
    """What the user JWT says of itself; None without one, or where it lasts for ever."""
    with contextlib.suppress(ConfigError, ValueError, msgspec.MsgspecError):
        found = _JWT.search(read_creds(options) or "")
        if found is not None:
            padded = found[1] + "=" * (-len(found[1]) % 4)
            claims = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Claims)
            if claims.exp:
                return Life(claims.iat, claims.exp)
    return None
