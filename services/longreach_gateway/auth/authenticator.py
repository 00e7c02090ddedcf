"""Who asks, request by request: a token that was found valid is known for a while."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING

from longreach_gateway.auth.principal import Denied, Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach_gateway.auth.jwts import JwtVerifier
    from longreach_gateway.auth.keys import KeyRing
    from longreach_gateway.auth.metadata import Resources
    from longreach_gateway.auth.tokens import TokenFile

_MAX_KNOWN = 10_000
LOOK_EVERY_S = 5.0


class Authenticator:
    """Finds the principal of a request.

    Args:
        tokens: the tokens of a file.
        jwts: verifies JWTs.
        resources: what tokens must be for, and where clients read about it.
        scopes: what every token must allow.
        now: seconds since 1970.
    """

    def __init__(
        self,
        tokens: TokenFile | None,
        jwts: JwtVerifier | None,
        resources: Resources,
        scopes: frozenset[str],
        now: Callable[[], float],
    ) -> None:
        self._tokens = tokens
        self._jwts = jwts
        self._resources = resources
        self._scopes = scopes
        self._now = now
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, Principal] = OrderedDict()

    def known(self, authorization: bytes | None) -> Principal | None:
        """Whose header it is, if it was found valid before and still is; the fast way."""
        if authorization is None:
            return None
        principal = self._known.get(self._digest(authorization))
        if principal is None or self._now() >= principal.expires_at:
            return None
        return principal

    async def check(self, authorization: bytes | None) -> Principal:
        """Whose header it is.

        Raises:
            Denied: it names nobody; without the challenge, which depends on what was asked for.
        """
        if authorization is None:
            raise Denied("this needs a bearer token")
        scheme, _, token = authorization.partition(b" ")
        token = token.strip(b" \t")
        if scheme.lower() != b"bearer" or not token:
            raise Denied("this needs a bearer token: Authorization: Bearer ...")
        principal = self._tokens.find(token) if self._tokens is not None else None
        if principal is None:
            if self._jwts is None:
                raise Denied("the token is not valid here")
            principal = await self._jwts.verify(token)
        while len(self._known) >= _MAX_KNOWN:
            self._known.popitem(last=False)
        self._known[self._digest(authorization)] = principal
        return principal

    def allow(self, principal: Principal, path: str) -> None:
        """Whether a valid token suffices for what is asked.

        Raises:
            Denied: it is for another resource (401), or allows too little (403).
        """
        if principal.audiences is None:
            return
        if not principal.audiences & self._resources.audiences(path):
            raise Denied("the token is for another resource")
        if not self._scopes <= principal.scopes:
            raise Denied("the token's scope does not allow this", 403)

    def challenge(self, denied: Denied, path: str, *, had_token: bool) -> Denied:
        """The same, with the headers that tell a client what to do."""
        if denied.headers:
            return denied
        parts = []
        if denied.status == 403:
            parts.append('error="insufficient_scope"')
        elif had_token:
            parts.append('error="invalid_token"')
        if had_token:
            parts.append(f'error_description="{denied}"')
        if self._scopes:
            parts.append(f'scope="{" ".join(sorted(self._scopes))}"')
        if self._jwts is not None:
            parts.append(f'resource_metadata="{self._resources.metadata_url(path)}"')
        value = "Bearer " + ", ".join(parts) if parts else "Bearer"
        return Denied(str(denied), denied.status, ((b"www-authenticate", value.encode()),))

    def forget(self) -> None:
        """Keys or tokens have changed: whatever they vouched for is checked anew."""
        self._known.clear()

    async def keep_fresh(self, keys: KeyRing | None) -> None:
        """Read files again that change, and refresh keys before somebody waits for them; until cancelled."""
        while True:
            if self._tokens is not None and self._tokens.reload():
                self.forget()
            if keys is not None:
                await keys.keep_fresh()
            await asyncio.sleep(LOOK_EVERY_S)

    def _digest(self, authorization: bytes) -> bytes:
        return hashlib.blake2b(authorization, key=self._key, digest_size=16).digest()
