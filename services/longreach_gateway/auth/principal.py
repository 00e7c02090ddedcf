"""What a valid token says."""

from __future__ import annotations

import math
from typing import NamedTuple

from longreach_gateway.answers import Header


class Principal(NamedTuple):
    """Who asks.

    Attributes:
        name: the `caller` of everything it asks for.
        audiences: the resources that its token is for; None: this gateway, whatever is asked.
        scopes: what it may do.
        expires_at: when its token ends, in seconds since 1970.
        claims: what nodes are told of it, a JSON object; None: nothing.
    """

    name: str
    audiences: frozenset[str] | None = None
    scopes: frozenset[str] = frozenset()
    expires_at: float = math.inf
    claims: bytes | None = None


class Denied(Exception):
    """No valid token: what the client is told.

    Args:
        reason: one sentence; says nothing of the token that an attacker does not know.
        status: 401, 403 where the token is valid but does not suffice, 503 where it cannot be checked now.
        headers: the challenge.
    """

    def __init__(self, reason: str, status: int = 401, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers
