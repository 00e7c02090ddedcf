from __future__ import annotations

import pytest

from longreach.wire.callid import CallToken, build_call, parse_call, reply_tail


@pytest.mark.parametrize(
    ("token", "said"),
    [  # M2.3
        ("1z0-1a3185c5000-f", CallToken("1z0", 1_800_000_000_000, frames=True)),
        ("a-0-n", CallToken("a", 0, frames=False)),
        ("9-ff-f", CallToken("9", 255, frames=True)),
    ],
)
def test_a_token_says_its_deadline_and_whether_frames_are_understood(token: str, said: CallToken):
    assert parse_call(token) == said
    assert build_call(said.id, said.deadline_ms, said.frames) == token


def test_any_id_that_fits_a_token_is_taken():
    # A client in another language may use a UUID or a hash: the id is opaque (M2.3).
    token = build_call("f" * 64, 1_800_000_000_000, frames=True)
    assert parse_call(token) == CallToken("f" * 64, 1_800_000_000_000, frames=True)
    longest = build_call("f" * 77, 16**16 - 1, frames=True)
    assert len(longest) == 96
    assert parse_call(longest) is not None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a-0",
        "a-0-",
        "-0-f",
        "a--f",
        "a-0-x",
        "a-0-F",
        "A-0-f",
        "a-G-f",
        "a-0xff-f",
        "a--1-f",
        "a_b-0-f",
        "a-0-f\n",
        " a-0-f",
        "a-0-f-f",
        "a-٣-f",
        "a-" + "f" * 17 + "-f",
        "a" * 93 + "-0-f",
    ],
)
def test_what_is_no_call_token_is_none(token: str):
    assert parse_call(token) is None


@pytest.mark.parametrize(
    ("call_id", "deadline_ms"),
    [("", 0), ("A", 0), ("a.b", 0), ("a-b", 0), ("é", 0), ("a\n", 0), ("a" * 78, 0), ("a", -1)],
)
def test_a_token_that_no_node_could_read_is_not_built(call_id: str, deadline_ms: int):
    with pytest.raises(ValueError, match="no call token"):
        build_call(call_id, deadline_ms, frames=True)


def test_the_tail_of_a_reply_subject():  # M2.2
    reply = "lr.v1.default.eu.rep._.alice.c0ffee.1-0-f"
    assert reply_tail(reply) == ("c0ffee", "1-0-f")


@pytest.mark.parametrize(
    "reply",
    [  # M3.1: what is not of the form is nowhere to answer
        "",
        "_INBOX.abc.def",
        "lr.v1.default.eu.rep._.alice.c0ffee",
        "lr.v1.default.eu.rep._.alice.c0ffee.1-0-f.more",
        "lr.v1.default.eu.req._.alice.c0ffee.1-0-f",
        "lr.v2.default.eu.rep._.alice.c0ffee.1-0-f",
        "lrxv1.default.eu.rep._.alice.c0ffee.1-0-f",
        "lr.v1.default.eu.rep._.alice.*.1-0-f",
        "lr.v1.default.eu.rep._.alice.c0ffee.>",
        "lr.v1.default.eu.rep._.alice..1-0-f",
        "lr.v1.default.eu.rep._.alice.c0ffee.1-0-f\r\nPUB x 0",
        "lr.v1.default.eu.rep._.alice.c0ffee.1-0-f\n",
        "lr.v1.default.eu.rep._.alice.C0FFEE.1-0-f",
        "lr.v1.default.eu.rep._.alice.c0ffee." + "a" * 97,
    ],
)
def test_what_is_no_reply_subject_has_no_tail(reply: str):
    assert reply_tail(reply) is None
