from __future__ import annotations

import base64
import json
import secrets

import pytest

from longreach.errors import ConfigError
from longreach.policy.claims import (
    LEEWAY_MS,
    MAX_CHARS,
    MAX_LIFE_MS,
    Bound,
    ClaimsRefused,
    Signer,
    Verifier,
    new_pair,
    parse_keys,
)

NOW = 1_800_000_000_000
BOUND = Bound("default", "g1", "alice", "docs")
PRIVATE, PUBLIC = new_pair(secrets.token_bytes)
SIGNER, VERIFIER = Signer(PRIVATE), Verifier((PUBLIC,))


def test_what_was_signed_is_opened_as_it_was():
    text = SIGNER.sign(BOUND, b'{"sub":"alice","groups":["a","b"]}', NOW + 60_000)

    opened = VERIFIER.open(text, BOUND, NOW)

    assert json.loads(opened.claims) == {"sub": "alice", "groups": ["a", "b"]}
    assert opened.expires_ms == NOW + 60_000


@pytest.mark.parametrize(
    "other",
    [
        BOUND._replace(namespace="acme"), BOUND._replace(via="g2"), BOUND._replace(caller="bob"),
        BOUND._replace(server="bank"),
    ],
)  # fmt: skip
def test_claims_are_for_one_caller_through_one_gateway_at_one_server(other: Bound):
    """M17.2"""
    text = SIGNER.sign(BOUND, b"{}", NOW + 60_000)

    with pytest.raises(ClaimsRefused) as refused:
        VERIFIER.open(text, other, NOW)

    assert refused.value.reason == "other_request"


@pytest.mark.parametrize("expires_ms", [NOW - LEEWAY_MS, NOW + MAX_LIFE_MS + LEEWAY_MS + 1])
def test_claims_are_short_lived(expires_ms: int):
    """M17.2"""
    with pytest.raises(ClaimsRefused) as refused:
        VERIFIER.open(SIGNER.sign(BOUND, b"{}", expires_ms), BOUND, NOW)

    assert refused.value.reason == "expired"


def test_a_foreign_key_is_not_trusted():
    """M17.2"""
    foreign, _ = new_pair(secrets.token_bytes)
    disguised = foreign._replace(id=PRIVATE.id)

    for key, reason in ((foreign, "unknown_key"), (disguised, "altered")):
        with pytest.raises(ClaimsRefused) as refused:
            VERIFIER.open(Signer(key).sign(BOUND, b"{}", NOW + 1000), BOUND, NOW)
        assert refused.value.reason == reason


def test_no_altered_character_is_taken():
    """M17.2"""
    text = SIGNER.sign(BOUND, b'{"scope":"read"}', NOW + 60_000)

    for at, old in enumerate(text):
        for new in {"A", "B", ".", "=", "é"} - {old}:
            with pytest.raises(ClaimsRefused):
                VERIFIER.open(text[:at] + new + text[at + 1 :], BOUND, NOW)


@pytest.mark.parametrize("claims", [b"[]", b'"x"', b"null", b"1"])
def test_claims_are_an_object(claims: bytes):
    with pytest.raises(ClaimsRefused) as refused:
        VERIFIER.open(SIGNER.sign(BOUND, claims, NOW + 1000), BOUND, NOW)

    assert refused.value.reason == "malformed"


@pytest.mark.parametrize("text", ["", "lrc1", "lrc1...", "lrc2.a.b.c", "x" * (MAX_CHARS + 1), "lrc1.a.b"])
def test_what_is_no_signed_text_is_refused(text: str):
    with pytest.raises(ClaimsRefused):
        VERIFIER.open(text, BOUND, NOW)


def test_keys_are_read_from_lines():
    second = new_pair(secrets.token_bytes)[1]

    keys = parse_keys(f"# trusted\n{PUBLIC.line}  # gateway\n\n{second.line}\n", "public", "test")

    assert keys == (PUBLIC, second)
    assert base64.b64encode(PUBLIC.raw).decode() not in repr(keys)


@pytest.mark.parametrize(
    ("text", "half", "says"),
    [
        (PRIVATE.line, "public", "nodes need the public one"),
        (PUBLIC.line, "private", "gateways sign with the private one"),
        ("", "public", "holds no key"),
        ("a:public:xx", "public", "is not id:public:base64"),
        (f"{PUBLIC.line}\n{PUBLIC.line}", "public", "two keys"),
    ],
    ids=["private", "public", "nothing", "no base64", "twice"],
)
def test_what_is_no_key_is_named_without_being_shown(text: str, half: str, says: str):
    with pytest.raises(ConfigError, match=says) as failed:
        parse_keys(text, half, "the file")  # type: ignore[arg-type]

    assert base64.b64encode(PRIVATE.raw).decode() not in str(failed.value)
