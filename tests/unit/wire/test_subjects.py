from __future__ import annotations

import pytest

from longreach.errors import TooLarge
from longreach.wire import subjects
from longreach.wire.subjects import (
    Address,
    check_subject,
    instance_target,
    method_name,
    method_token,
    parse,
    version_target,
)
from longreach.wire.tokens import encode_token, is_token

ADDRESSES: list[tuple[Address, str]] = [
    (
        subjects.Request("default", "eu", "docs", "_", "_", "_", "tools-call", "get=44ocument"),
        "lr.v1.default.eu.req.docs._._._.tools-call.get=44ocument",
    ),
    (subjects.All("acme", "eu", "docs", "_", "alice", "whose"), "lr.v1.acme.eu.all.docs._.alice.whose"),
    (
        subjects.Node("acme", "eu", "n1", "i1", "gw", "alice", "alive"),
        "lr.v1.acme.eu.node.n1.i1.gw.alice.alive",
    ),
    (
        subjects.Ops("acme", "eu", "n1", "i1", "_", "root", "drain"),
        "lr.v1.acme.eu.ops.n1.i1._.root.drain",
    ),
    (
        subjects.Reply("acme", "eu", "_", "alice", "c0ffee", "1-0-f"),
        "lr.v1.acme.eu.rep._.alice.c0ffee.1-0-f",
    ),
    (subjects.Adv("acme", "eu", "docs", "n1", "i1"), "lr.v1.acme.eu.adv.docs.n1.i1"),
    (subjects.Evt("acme", "eu", "docs", "tools"), "lr.v1.acme.eu.evt.docs.tools"),
    (subjects.Evt("acme", "eu", "docs", "resource", "ab12"), "lr.v1.acme.eu.evt.docs.resource.ab12"),
    (subjects.Who("acme", "_", "_", "alice"), "lr.v1.acme._.who._.alice"),
    (subjects.Gw("acme", "eu", "gw1", "i1", "open"), "lr.v1.acme.eu.gw.gw1.i1.open"),
]


@pytest.mark.parametrize(("address", "subject"), ADDRESSES, ids=[s for _, s in ADDRESSES])
def test_an_address_is_a_subject_and_back(address: Address, subject: str):
    assert address.subject() == subject
    assert parse(subject) == address


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "lr",
        "lr.v1",
        "lr.v1.default.eu",
        "lr.v1.default.eu.req",
        "lr.v2.default.eu.who._.alice",
        "xx.v1.default.eu.who._.alice",
        "lr.v1.default.eu.wat._.alice",
        "lr.v1.default.eu.who._",
        "lr.v1.default.eu.who._.alice.more",
        "lr.v1.default.eu.who._.*",
        "lr.v1.default.eu.who._.>",
        "lr.v1.default.eu.who._.",
        "lr.v1..eu.who._.alice",
        "lr.v1.default.EU.who._.alice",
        "lr.v1.default.eu.who._.alice ",
        "lr.v1.default.eu.who._.alice\n",
        " lr.v1.default.eu.who._.alice",
        "lr.v1.default.eu.who._.é",
        "lr.v1.default.eu.evt.docs",
        "lr.v1.default.eu.evt.docs.tools.ab.cd",
        "lr.v1.default.eu.who._." + "a" * 97,
        "lr.v1.default.eu.who._." + "a" * 1000,
        "_INBOX.abc.def",
        "$SRV.PING",
    ],
)
def test_what_is_not_ours_is_none(subject: str):
    assert parse(subject) is None


@pytest.mark.parametrize("token", ["", "a.b", "*", ">", "A", "a b", "a\r\n", "x" * 97])
def test_a_field_that_is_no_token_makes_no_subject(token: str):
    with pytest.raises(ValueError, match="is a token"):
        subjects.Who("default", "eu", "_", token).subject()


def test_a_subject_has_at_most_1024_bytes():  # M1.3
    assert check_subject("a" * 1024) == "a" * 1024
    with pytest.raises(TooLarge, match="1025 bytes") as caught:
        check_subject("a" * 1025)
    assert caught.value.delivered == "no"


def test_the_length_of_a_subject_is_counted_in_bytes():
    with pytest.raises(TooLarge, match="1026 bytes"):
        check_subject("é" * 513)


def test_a_subject_of_the_longest_tokens_fits():
    token = "a" * 96
    address = subjects.Request(*[token] * 8)
    assert parse(check_subject(address.subject())) == address


@pytest.mark.parametrize(
    ("version", "target"),
    [
        ("2.1.0", "v2"),
        ("0.9", "v0"),
        ("12", "v12"),
        ("v3.4", "v3"),
        ("1-rc.1", "v1"),
        ("1+build", "v1"),
        ("007.1", "v7"),
        ("", "v0"),
        ("latest", "v0"),
        ("2x", "v0"),
        ("2\n", "v0"),
        ("-1.0", "v0"),
        (".1", "v0"),
        ("٢.0", "v0"),
        ("1234567890.0", "v0"),
    ],
)
def test_the_target_of_a_version_is_its_major_number(version: str, target: str):  # M1.8
    assert version_target(version) == target


def test_the_target_of_an_instance_is_one_token():
    assert instance_target("k7") == "n-k7"
    assert instance_target("K7") == "n-=4b7"
    assert len(instance_target("a" * 94)) == 96
    for length in (95, 96, 97, 500):
        assert is_token(instance_target("a" * length))  # M1.2 holds for the whole token
        assert instance_target("a" * length) == encode_token("n-" + "a" * length)


def test_an_instance_without_a_name_has_no_target():
    with pytest.raises(ValueError, match="empty"):
        instance_target("")


def test_each_method_has_a_token_and_each_token_a_method():
    from mcp_types.methods import CLIENT_REQUESTS

    methods = {method for method, version in CLIENT_REQUESTS if version == "2026-07-28"}
    assert {method_name(method_token(method)) for method in methods} == methods
    assert len({method_token(method) for method in methods}) == len(methods)
    assert all(is_token(method_token(method)) for method in methods)
    assert method_token("tools/call") == "tools-call"
    assert method_token("resources/templates/list") == "resources-templates-list"


@pytest.mark.parametrize("method", ["ping", "initialize", "tools-call", "", "tools/call "])
def test_other_methods_have_no_token(method: str):
    with pytest.raises(ValueError, match="no method"):
        method_token(method)


@pytest.mark.parametrize("token", ["tools/call", "ping", "_", ""])
def test_other_tokens_have_no_method(token: str):
    with pytest.raises(ValueError, match="no token"):
        method_name(token)
