"""What nodes are told of a user: the claims of a valid JWT, signed for the server that a request is for."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.keyfile import KeyFile
from longreach.policy.claims import HEADER, LIFE_MS, MAX_CLAIMS_BYTES, Bound, Signer, parse_keys
from longreach.wire.tokens import encode_token
from longreach_gateway.auth.principal import Denied, Principal

if TYPE_CHECKING:
    from longreach.clock import Clock

_log = logging.getLogger("longreach.gateway.auth")
DEFAULT_NAMES = ("sub", "scope", "groups", "email")
_LOOK_EVERY_S = 5.0
_MAX_KNOWN = 10_000


def chosen(claims: Mapping[str, Any], names: tuple[str, ...]) -> bytes | None:
    """Those of `claims` that nodes are told, as JSON; None where no names were chosen.

    Raises:
        Denied: they are more than a header holds.
    """
    if not names:
        return None
    said = msgspec.json.encode({name: claims[name] for name in names if name in claims})
    if len(said) > MAX_CLAIMS_BYTES:
        raise Denied("the token says more of its user than can be passed on", 403)
    return said


class UserClaims:
    """The claims of one principal, on their way to any server."""

    __slots__ = ("_principal", "_signer")

    def __init__(self, signer: ClaimsSigner, principal: Principal) -> None:
        self._signer = signer
        self._principal = principal

    @property
    def key(self) -> Hashable:
        """What tells them from others."""
        return self._principal.claims

    def headers(self, server: str) -> dict[str, str]:
        """The header for one request to a server; a dict of its own."""
        return {HEADER: self._signer.sign(self._principal, server)}


class ClaimsSigner:
    """Signs what nodes are told of users.

    Args:
        file: of the private key, the first one in it. It is looked at again every 5 s while there is
            something to sign; what cannot be read any more leaves the key that was there before.
        namespace: the namespace's token.
        via: the gateway's id.
        clock: the time.

    Raises:
        ConfigError: the file cannot be read, or holds no private key.
    """

    def __init__(self, file: str, namespace: str, via: str, clock: Clock) -> None:
        self._namespace = namespace
        self._via = encode_token(via)
        self._clock = clock
        self._known: OrderedDict[Hashable, tuple[str, int]] = OrderedDict()
        self._keys = KeyFile(
            file, "the claims key in", "claims_key", lambda text: _signer(text, file), _log,
            every_s=_LOOK_EVERY_S, clock=clock,
        )  # fmt: skip
        self._signer = self._keys.current()

    def of(self, principal: Principal | None) -> UserClaims | None:
        """What nodes are told of a principal; None: nothing."""
        return None if principal is None or principal.claims is None else UserClaims(self, principal)

    def sign(self, principal: Principal, server: str) -> str:
        """The claims for a server; good for half a minute at least, unless the user's token ends before."""
        assert principal.claims is not None, "there is something to sign"
        signer = self._keys.current()
        if signer is not self._signer:
            self._signer = signer
            self._known.clear()
        now_ms = self._clock.wall_ms()
        key = (principal.name, principal.claims, principal.expires_at, server)
        known = self._known.get(key)
        if known is not None and now_ms < known[1]:
            return known[0]
        expires_ms = int(min(now_ms + LIFE_MS, principal.expires_at * 1000))
        bound = Bound(self._namespace, self._via, encode_token(principal.name), encode_token(server))
        text = signer.sign(bound, principal.claims, expires_ms)
        self._known[key] = (text, now_ms + (expires_ms - now_ms) // 2)
        self._known.move_to_end(key)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return text


def _signer(text: str, file: str) -> Signer:
    return Signer(parse_keys(text, "private", file)[0])
