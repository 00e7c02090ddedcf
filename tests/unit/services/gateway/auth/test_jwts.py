from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from tests.support.jwts import ISSUER, Signer, jwks

from longreach_gateway.auth import keys as keys_module
from longreach_gateway.auth.jwts import JwtVerifier
from longreach_gateway.auth.keys import KeyRing, read_keys
from longreach_gateway.auth.principal import Denied

ES, RS, ED = Signer("es"), Signer("rs", "RS256"), Signer("ed", "EdDSA")
STRANGER = Signer("es")


class Source:
    refresh_after_s = 300.0
    ask_again_after_s = 10.0

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.loads = 0

    async def load(self) -> bytes | None:
        self.loads += 1
        answer = self.answers[min(self.loads, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Ring(KeyRing):
    def __init__(self, source: Source) -> None:
        self.time = 1000.0
        self.changes = 0
        super().__init__(source, lambda: self.time, self._changed)

    def _changed(self) -> None:
        self.changes += 1


def verifier(*signers: Signer) -> JwtVerifier:
    return JwtVerifier(Ring(Source(jwks(*signers))), ISSUER)


@pytest.mark.parametrize("signer", [ES, RS, ED], ids=lambda signer: signer.algorithm)
async def test_a_token_says_who_it_is_for_how_long_and_for_what(signer: Signer):
    until = time.time() + 60
    token = signer.token(sub="bob", scope="a b", aud=["x", "y", 3], exp=until)

    principal = await verifier(ES, RS, ED).verify(token.encode())

    assert principal.name == "bob"
    assert principal.scopes == {"a", "b"}
    assert principal.audiences == {"x", "y"}
    assert principal.expires_at == pytest.approx(until + 30, abs=1)


@pytest.mark.parametrize(("claim", "offset_s"), [("exp", -10), ("nbf", 10), ("iat", 10)])
async def test_clocks_may_differ_a_little(claim: str, offset_s: float):
    token = ES.token(**{claim: time.time() + offset_s})

    assert (await verifier(ES).verify(token.encode())).name == "alice"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": lambda: time.time() - 60},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": lambda: time.time() + 60},
        {"iss": "https://other.example.com"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"aud": None},
        {"aud": {"a": 1}},
    ],
)
async def test_a_token_that_says_something_else_is_denied(claims: dict[str, Any]):
    # A time counts from when the test runs, which may be minutes after it was collected.
    claims = {name: value() if callable(value) else value for name, value in claims.items()}
    # PyJWT refuses to make some of these; the bytes are signed all the same.
    said = {"iss": ISSUER, "sub": "alice", "aud": "x", "exp": time.time() + 300, **claims}
    kept = {name: value for name, value in said.items() if value is not None}
    token = jwt.api_jws.encode(json.dumps(kept).encode(), ES.key, algorithm="ES256", headers={"kid": "es"})

    with pytest.raises(Denied) as denied:
        await verifier(ES).verify(token.encode())

    assert denied.value.status == 401


async def test_a_token_of_another_key_or_altered_by_a_byte_is_denied():
    token = ES.token()
    for bad in (STRANGER.token(), token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1], token + "x"):
        with pytest.raises(Denied):
            await verifier(ES).verify(bad.encode())


async def test_algorithms_are_pinned_to_the_key():
    public = ES.jwk["x"]
    forged = jwt.encode(
        {"iss": ISSUER, "sub": "a", "aud": "x", "exp": time.time() + 60}, public * 2, "HS256", {"kid": "es"}
    )
    none = jwt.encode(
        {"iss": ISSUER, "sub": "a", "aud": "x", "exp": time.time() + 60}, None, "none", {"kid": "es"}
    )  # type: ignore[arg-type]
    for bad in (forged, none, RS.token(headers={"kid": "es"})):
        with pytest.raises(Denied):
            await verifier(ES).verify(bad.encode())


@pytest.mark.parametrize(
    "token", [b"", b"a.b", b"a.b.c", b"....", b"\xff.\xff.\xff", b"a" * 20_000 + b".b.c", b"e30.e30.e30"]
)
async def test_what_is_no_token_is_denied(token: bytes):
    with pytest.raises(Denied):
        await verifier(ES).verify(token)


def test_keys_that_cannot_be_used_are_left_out():
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"}
    encryption = {**Signer("enc").jwk, "use": "enc"}
    mixed = {**RS.jwk, "kid": "mixed", "alg": "HS256"}
    listed = [*json.loads(jwks(ES, RS))["keys"], secret, encryption, mixed, {"kty": "EC"}, 3, {}]
    found = read_keys(json.dumps({"keys": listed}).encode())

    assert set(found) == {"es", "rs"}
    assert found["es"].algorithms == ("ES256",)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"keys": 3}', b"\xff"])
def test_what_is_no_jwks_is_refused(data: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind
        read_keys(data)


async def test_a_token_without_a_key_id_means_the_only_key():
    token = ES.token(headers={"kid": None})

    assert (await verifier(ES).verify(token.encode())).name == "alice"
    with pytest.raises(Denied):
        await verifier(ES, RS).verify(token.encode())


async def test_a_key_that_is_not_known_is_asked_for_but_not_too_often():
    new = Signer("new")
    source = Source(jwks(ES), jwks(ES), jwks(new))
    ring = Ring(source)

    assert await ring.find("es") is not None
    for _ in range(100):
        assert await ring.find("new") is None
    assert source.loads == 1
    ring.time += 10
    assert await ring.find("new") is None
    ring.time += 10
    assert await ring.find("new") is not None
    assert await ring.find("es") is None
    assert (source.loads, ring.changes) == (3, 2)


async def test_keys_are_kept_while_they_cannot_be_refreshed_but_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keys_module, "STALE_AFTER_S", 1000.0)
    ring = Ring(Source(jwks(ES), OSError("down"), ValueError("nonsense"), OSError("down")))
    await ring.keep_fresh()

    ring.time += 301
    await ring.keep_fresh()
    assert await ring.find("es") is not None
    ring.time += 301
    await ring.keep_fresh()
    assert await ring.find("es") is not None
    ring.time += 1000
    await ring.keep_fresh()
    with pytest.raises(Denied) as denied:
        await ring.find("es")
    assert (denied.value.status, denied.value.headers) == (503, ((b"retry-after", b"10"),))


async def test_an_unchanged_source_counts_as_fresh():
    source = Source(jwks(ES), None)
    ring = Ring(source)
    for _ in range(3):
        await ring.keep_fresh()
        ring.time += 301

    assert (source.loads, ring.changes) == (3, 1)
