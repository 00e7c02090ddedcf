from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longreach.wire.callid import CallToken, build_call, parse_call, reply_tail
from longreach.wire.subjects import Reply, parse
from longreach.wire.tokens import encode_token, is_token

ids = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=77)
deadlines = st.integers(0, 16**16 - 1)


@given(ids, deadlines, st.booleans())
def test_each_token_is_read_back(call_id: str, deadline_ms: int, frames: bool):
    token = build_call(call_id, deadline_ms, frames)
    assert is_token(token)
    assert parse_call(token) == CallToken(call_id, deadline_ms, frames)


@given(st.text() | st.text(alphabet="ab01-fnF", max_size=100))
def test_any_text_is_a_call_token_or_none(token: str):
    call = parse_call(token)
    if call is not None:
        assert is_token(token)
        assert call.deadline_ms >= 0
        assert parse_call(build_call(*call)) == call


@given(st.lists(st.text(min_size=1, max_size=40), min_size=6, max_size=6))
def test_the_tail_of_a_reply_subject_is_what_parse_says(names: list[str]):
    address = Reply(*map(encode_token, names))
    assert reply_tail(address.subject()) == (address.connection, address.call)


pieces = st.sampled_from(["lr", "v1", "rep", "req", "_", "a", "*", ">", "", "A", "=2a", "_INBOX", "a\n"])


@given(
    st.text()
    | st.lists(pieces, max_size=11).map(".".join)
    | st.lists(pieces, min_size=6, max_size=6).map(
        lambda p: f"lr.v1.{p[0]}.{p[1]}.rep.{p[2]}.{p[3]}.{p[4]}.{p[5]}"
    )
)
def test_what_has_a_tail_is_a_reply_subject_and_nothing_else_is(reply: str):  # M3.1
    address = parse(reply)
    tail = reply_tail(reply)
    assert (tail is not None) == isinstance(address, Reply)
    if tail is not None:
        assert tail == tuple(reply.split(".")[-2:])
