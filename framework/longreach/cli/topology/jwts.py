"""NATS JWTs of version 2, signed by us: operator, accounts with scoped signing keys, users. Pure.

Each user is signed by a signing key of its own, and the permissions are that key's, in the account's JWT,
which only brokers hold. So what a user may do changes without new credentials, a user is gone when its key
is, and each region's brokers can hold an account in which only those exist who are accepted there.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from longreach.cli.topology.grants import Grants
from longreach.cli.topology.vault import KeyPair

_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
_UNLIMITED = -1
ISSUED_AT = 1_700_000_000
"""The same for all: what is made of the same description is the same, byte for byte."""


class Scope(NamedTuple):
    """A signing key, and what those may do whom it signs."""

    role: str
    key: str
    grants: Grants
    connections: tuple[str, ...]


def operator_token(*, name: str, signer: KeyPair, system: str) -> str:
    """The operator's own JWT."""
    return _sign(name, signer.public, {"type": "operator", "version": 2, "system_account": system}, signer)


def account_token(*, name: str, subject: str, signer: KeyPair, scopes: Iterable[Scope]) -> str:
    """An account's JWT: whoever it has no scope for does not exist there."""
    keys = [
        {
            "kind": "user_scope",
            "key": scope.key,
            "role": scope.role,
            "template": {
                **_permissions(scope.grants),
                "subs": _UNLIMITED,
                "data": _UNLIMITED,
                "payload": _UNLIMITED,
                "allowed_connection_types": scope.connections,
            },
        }
        for scope in scopes
    ]
    limits = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), _UNLIMITED)
    claims = {
        "type": "account",
        "version": 2,
        "limits": {**limits, "wildcards": True},
        "default_permissions": {"pub": {}, "sub": {}},
        "signing_keys": keys,
    }
    return _sign(name, subject, {key: value for key, value in claims.items() if value != []}, signer)


def user_token(
    *, name: str, subject: str, account: str, signer: KeyPair, expires_at: int | None = None
) -> str:
    """A user's JWT; it holds no permissions if a scoped key signs it."""
    claims: dict[str, Any] = {"type": "user", "version": 2, "pub": {}, "sub": {}}
    if signer.public != account:
        claims["issuer_account"] = account
    else:
        claims |= dict.fromkeys(("subs", "data", "payload"), _UNLIMITED)
    return _sign(name, subject, claims, signer, expires_at)


def creds(token: str, seed: str) -> str:
    """A creds file: a user's JWT and seed."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


def _permissions(grants: Grants) -> dict[str, Any]:
    nothing = {"deny": [">"]}
    return {
        "pub": {"allow": list(grants.publish)} if grants.publish else nothing,
        "sub": {"allow": list(grants.subscribe)} if grants.subscribe else nothing,
    }


def _sign(
    name: str, subject: str, nats: dict[str, Any], signer: KeyPair, expires_at: int | None = None
) -> str:
    claims: dict[str, Any] = {
        "iat": ISSUED_AT,
        "iss": signer.public,
        "name": name,
        "nats": nats,
        "sub": subject,
    }
    if expires_at is not None:
        claims["exp"] = expires_at
    digest = hashlib.sha256(msgspec.json.encode(claims)).digest()
    claims["jti"] = base64.b32encode(digest).decode().rstrip("=")
    body = f"{_encode(msgspec.json.encode(_HEADER))}.{_encode(msgspec.json.encode(claims))}"
    return f"{body}.{_encode(signer.sign(body.encode()))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
