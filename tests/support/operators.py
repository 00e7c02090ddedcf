"""An operator for tests: a broker that trusts it, and credentials of users that end when they are told to."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import nkeys


class Key:
    """An NKey, made up."""

    def __init__(self, kind: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), kind).decode()
        self.public = self._pair().public_key.decode()

    def sign(self, data: bytes) -> bytes:
        signature: bytes = self._pair().sign(data)
        return signature

    def _pair(self) -> Any:
        return nkeys.from_seed(bytearray(self.seed.encode()))


class Operator:
    """An operator with one account."""

    def __init__(self) -> None:
        self._key = Key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = Key(nkeys.PREFIX_BYTE_ACCOUNT)

    @property
    def config(self) -> str:
        """What a broker's configuration says, so that it trusts this operator and knows the account."""
        limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True}
        limits |= {"conn": -1, "leaf": -1}
        account = self._jwt(self._account.public, "account", self._key, limits=limits)
        operator = self._jwt(self._key.public, "operator", self._key)
        return (
            f"operator: {operator}\nresolver: MEMORY\n"
            f"resolver_preload: {{ {self._account.public}: {account} }}\n"
        )

    def creds(self, life_s: float | None = None, **permissions: Any) -> str:
        """Credentials of a new user, good for so long."""
        user = Key(nkeys.PREFIX_BYTE_USER)
        claims = self._jwt(
            user.public,
            "user",
            self._account,
            expires=None if life_s is None else int(time.time() + life_s),
            **{"subs": -1, "data": -1, "payload": -1, **permissions},
        )
        return (
            f"-----BEGIN NATS USER JWT-----\n{claims}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )

    @staticmethod
    def _jwt(subject: str, kind: str, signer: Key, expires: int | None = None, **nats: Any) -> str:
        claims = {
            "iat": int(time.time()),
            "iss": signer.public,
            "name": kind,
            "sub": subject,
            "nats": {**nats, "type": kind, "version": 2},
        }
        if expires is not None:
            claims["exp"] = expires
        digest = hashlib.sha256(json.dumps(claims).encode()).digest()
        claims["jti"] = base64.b32encode(digest).decode().rstrip("=")
        head = _encode(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
        signed = f"{head}.{_encode(json.dumps(claims).encode())}"
        return f"{signed}.{_encode(signer.sign(signed.encode()))}"


def replace(path: Path, text: str) -> None:
    """Write a file as a rotating agent does: beside it, and then over it."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
