"""An authorization server for tests: keys, their JWKS, and tokens signed by them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example.com"


class Signer:
    """A key of an authorization server."""

    def __init__(self, kid: str, algorithm: str = "ES256") -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.key: Any
        if algorithm.startswith(("RS", "PS")):
            self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            public = RSAAlgorithm.to_jwk(self.key.public_key())
        elif algorithm == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
            public = OKPAlgorithm.to_jwk(self.key.public_key())
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
            public = ECAlgorithm.to_jwk(self.key.public_key())
        self.jwk: dict[str, Any] = {**json.loads(public), "kid": kid, "use": "sig", "alg": algorithm}

    def token(self, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token; a claim or header of None is left out."""
        now = time.time()
        said = {
            "iss": ISSUER,
            "sub": "alice",
            "aud": "https://mcp.example.com/mcp",
            "exp": now + 300,
            **claims,
        }
        kept = {name: value for name, value in said.items() if value is not None}
        shown = {"kid": self.kid, **(headers or {})}
        shown = {name: value for name, value in shown.items() if value is not None}
        return jwt.encode(kept, self.key, algorithm=self.algorithm, headers=shown)


def jwks(*signers: Signer) -> bytes:
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()
