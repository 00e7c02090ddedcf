"""JWTs as access tokens: signature, issuer, times and subject; what for is checked where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jwt

from longreach_gateway.auth.claims import chosen
from longreach_gateway.auth.principal import Denied, Principal

if TYPE_CHECKING:
    from longreach_gateway.auth.keys import KeyRing

LEEWAY_S = 30.0
MAX_LENGTH = 16_384
_INVALID = "the token is not valid here"


class JwtVerifier:
    """Verifies JWTs against a key ring.

    Args:
        keys: the keys of the issuer.
        issuer: the `iss` that tokens must have.
        told: the claims that nodes are told.
    """

    def __init__(self, keys: KeyRing, issuer: str, told: tuple[str, ...] = ()) -> None:
        self._keys = keys
        self._told = told
        self._issuer = issuer

    async def verify(self, token: bytes) -> Principal:
        """Whose token it is.

        Raises:
            Denied: it is none, or not valid.
        """
        if len(token) > MAX_LENGTH or token.count(b".") != 2:
            raise Denied(_INVALID)
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            key = await self._keys.find(kid if isinstance(kid, str) else None)
            if key is None:
                raise Denied(_INVALID)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "sub", "aud"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError:
            raise Denied("the token has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Denied(_INVALID) from None
        return _principal(claims)._replace(claims=chosen(claims, self._told))


def _principal(claims: Mapping[str, Any]) -> Principal:
    subject, audience = claims["sub"], claims["aud"]
    audiences = [audience] if isinstance(audience, str) else audience
    if not (isinstance(subject, str) and subject and isinstance(audiences, list)):
        raise Denied(_INVALID)
    scopes = claims.get("scope", claims.get("scp", ()))
    words = scopes.split() if isinstance(scopes, str) else scopes
    return Principal(
        subject,
        frozenset(each for each in audiences if isinstance(each, str)),
        frozenset(each for each in words if isinstance(each, str))
        if isinstance(words, list | tuple)
        else frozenset(),
        float(claims["exp"]) + LEEWAY_S,
    )
