"""The public keys of an authorization server: a JWKS of a URL or a file, kept and refreshed within bounds."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import httpx2
import jwt

from longreach.errors import ConfigError
from longreach.observe import event
from longreach_gateway.auth.principal import Denied

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("longreach.gateway.auth")
STALE_AFTER_S = 86_400.0
"""Keys that could not be refreshed for so long count no more."""
_FETCH_TIMEOUT_S = 5.0
_MAX_BYTES = 262_144
_ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}
"""By kind of key: none of them a shared secret, and no key with another kind's algorithm."""


class Key(NamedTuple):
    """A key, and the algorithms that it may be used with."""

    key: Any
    algorithms: tuple[str, ...]


class Source(Protocol):
    """Where the keys come from.

    Attributes:
        refresh_after_s: how old the keys may get before they are loaded again.
        ask_again_after_s: tokens with made-up key ids, or a server that is down, cause no more than one load
            in this time.
    """

    refresh_after_s: float
    ask_again_after_s: float

    async def load(self) -> bytes | None:
        """The JWKS; None: it has not changed. Raises `OSError` or `ValueError` where it cannot be had."""
        ...


class FileSource:
    """A JWKS in a file."""

    refresh_after_s = 5.0
    ask_again_after_s = 1.0

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._stamp: tuple[int, int] | None = None

    async def load(self) -> bytes | None:
        """The file, if it has changed."""
        found = self._path.stat()
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp == self._stamp:
            return None
        data = self._path.read_bytes()
        self._stamp = stamp
        return data


class UrlSource:
    """A JWKS at a URL; redirects are not followed."""

    refresh_after_s = 300.0
    ask_again_after_s = 10.0

    def __init__(self, url: str) -> None:
        if not url.startswith(("https://", "http://")):
            raise ConfigError(f"{url!r} is no URL of a JWKS: it begins with https://")
        self._url = url

    async def load(self) -> bytes | None:
        """What is there."""
        async with (
            asyncio.timeout(_FETCH_TIMEOUT_S),
            httpx2.AsyncClient(follow_redirects=False, timeout=_FETCH_TIMEOUT_S) as client,
            client.stream("GET", self._url, headers={"accept": "application/json"}) as response,
        ):
            if response.status_code != httpx2.codes.OK:
                raise ValueError(f"the server answers with status {response.status_code}")
            data = b""
            async for part in response.aiter_bytes():
                data += part
                if len(data) > _MAX_BYTES:
                    raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
            return data


class KeyRing:
    """The keys of a source.

    Args:
        source: where they come from.
        now: monotonic seconds.
        on_change: called when there are other keys than before: what they vouched for must be checked anew.
    """

    def __init__(self, source: Source, now: Callable[[], float], on_change: Callable[[], None]) -> None:
        self._source = source
        self._now = now
        self._on_change = on_change
        self._keys: dict[str | None, Key] = {}
        self._raw: bytes | None = None
        self._asked_at = self._fresh_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None) -> Key | None:
        """The key of that id; asks the source again for one that is not known.

        Raises:
            Denied: there are no keys, and none can be had (503).
        """
        key = self._keys.get(kid)
        if key is None:
            await self.refresh()
            key = self._keys.get(kid)
        if not self._keys:
            raise Denied("tokens cannot be checked just now", 503, ((b"retry-after", b"10"),))
        return key

    async def keep_fresh(self) -> None:
        """Load the keys again if they are old: called now and then, so that no request waits for it."""
        if self._now() - self._fresh_at >= self._source.refresh_after_s:
            await self.refresh()

    async def refresh(self) -> None:
        """Load the keys, unless that was tried just now; where they cannot be had, the old ones stay."""
        async with self._lock:
            now = self._now()
            if now - self._asked_at < self._source.ask_again_after_s:
                return
            self._asked_at = now
            try:
                data = await self._source.load()
                if data is not None and data != self._raw:
                    self._keys, self._raw = read_keys(data), data
                    event(_log, "keys.loaded", count=len(self._keys))
                    self._on_change()
                self._fresh_at = now
            except (OSError, ValueError, httpx2.HTTPError, jwt.PyJWTError) as error:
                event(_log, "keys.unavailable", logging.WARNING, reason=f"{type(error).__name__}: {error}")
                if self._keys and now - self._fresh_at > STALE_AFTER_S:
                    self._keys, self._raw = {}, None
                    self._on_change()


def read_keys(data: bytes) -> dict[str | None, Key]:
    """The usable keys of a JWKS by id; a single one without an id is there by None.

    Raises:
        ValueError: it is none.
    """
    jwks = json.loads(data)
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(listed, list):
        raise ValueError("it is no JWKS: there is no list called keys in it")
    found: dict[str | None, Key] = {}
    for each in listed:
        key = _read_key(each) if isinstance(each, Mapping) else None
        if key is not None:
            found[each["kid"] if isinstance(each.get("kid"), str) else None] = key
    if len(found) == 1:
        found[None] = next(iter(found.values()))
    elif None in found:
        del found[None]  # which one a token without an id means would be a guess
    return found


def _read_key(jwk: Mapping[str, Any]) -> Key | None:
    kind = jwk.get("kty")
    algorithms = _ALGORITHMS.get(str(kind if kind == "RSA" else jwk.get("crv")), ())
    if "alg" in jwk:
        algorithms = tuple(each for each in algorithms if each == jwk["alg"])
    if not algorithms or jwk.get("use", "sig") != "sig":
        return None
    try:
        return Key(jwt.PyJWK(dict(jwk), algorithm=algorithms[0]).key, algorithms)
    except Exception:  # noqa: BLE001 - what cannot be read, for whatever reason, is a key that is not used
        return None
