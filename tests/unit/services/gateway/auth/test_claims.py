"""What nodes are told of a user: chosen claims of a valid JWT, signed for one server, for a short time."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import pytest

from longreach.clock import FakeClock
from longreach.errors import ConfigError
from longreach.policy.claims import HEADER, LIFE_MS, Bound, ClaimsRefused, Verifier, new_pair
from longreach_gateway.auth.claims import ClaimsSigner, chosen
from longreach_gateway.auth.principal import Denied, Principal
from longreach_gateway.settings import GatewaySettings

PRIVATE, PUBLIC = new_pair(secrets.token_bytes)
ALICE = Principal("al.ice", claims=b'{"sub":"al.ice"}', expires_at=1e12)
BOUND = Bound("default", "g1", "al=2eice", "docs")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(f"# the gateway's\n{PRIVATE.line}\n")
    return file


@pytest.fixture
def signer(file: Path, clock: FakeClock) -> ClaimsSigner:
    return ClaimsSigner(str(file), "default", "g1", clock)


def test_only_chosen_claims_are_told():
    claims = {"sub": "a", "groups": ["x"], "secret": 1}

    assert json.loads(chosen(claims, ("sub", "groups", "email")) or b"") == {"sub": "a", "groups": ["x"]}
    assert chosen(claims, ()) is None


def test_a_token_that_says_too_much_is_refused_rather_than_cut():
    with pytest.raises(Denied) as denied:
        chosen({"groups": ["g"] * 5000}, ("groups",))

    assert denied.value.status == 403


def test_claims_are_signed_for_one_caller_and_server_and_used_again(signer: ClaimsSigner, clock: FakeClock):
    user = signer.of(ALICE)
    assert user is not None
    first = user.headers("docs")[HEADER]

    opened = Verifier((PUBLIC,)).open(first, BOUND, clock.wall_ms())
    assert opened.claims == ALICE.claims
    assert opened.expires_ms == clock.wall_ms() + LIFE_MS
    assert user.headers("docs")[HEADER] == first
    with pytest.raises(ClaimsRefused):
        Verifier((PUBLIC,)).open(user.headers("bank")[HEADER], BOUND, clock.wall_ms())
    clock.advance(31)
    assert user.headers("docs")[HEADER] != first


def test_claims_end_with_the_users_token(signer: ClaimsSigner, clock: FakeClock):
    user = signer.of(ALICE._replace(expires_at=clock.wall_ms() / 1000 + 5))
    assert user is not None

    opened = Verifier((PUBLIC,)).open(user.headers("docs")[HEADER], BOUND, clock.wall_ms())
    assert opened.expires_ms == clock.wall_ms() + 5000


def test_nothing_is_told_of_who_has_no_claims(signer: ClaimsSigner):
    assert signer.of(None) is None
    assert signer.of(Principal("static")) is None


def test_a_new_key_is_used_when_the_file_changes(signer: ClaimsSigner, file: Path, clock: FakeClock):
    user = signer.of(ALICE)
    assert user is not None
    private, public = new_pair(secrets.token_bytes)
    for text, verifies in (("rubbish", PUBLIC), (private.line, public)):
        new = file.with_name("new")
        new.write_text(text)
        os.replace(new, file)
        clock.advance(6)
        Verifier((verifies,)).open(user.headers("docs")[HEADER], BOUND, clock.wall_ms())


def test_a_key_must_be_there_private_and_for_jwts(tmp_path: Path, clock: FakeClock):
    public = tmp_path / "public"
    public.write_text(PUBLIC.line)
    for file in (tmp_path / "none", public):
        with pytest.raises(ConfigError):
            ClaimsSigner(str(file), "default", "g1", clock)
    with pytest.raises(ConfigError, match="--jwks-url"):
        GatewaySettings(claims_key="key")
