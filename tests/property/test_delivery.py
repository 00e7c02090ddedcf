"""What a handler says decides nothing: its answered call is never taken for one that may not have run."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from longreach.client import endings
from longreach.errors import RemoteError
from longreach.policy.retry import Failure
from longreach.wire import codes, jsonrpc

WORDS = [
    *sorted(codes.RESERVED_REASONS | codes.NOT_STARTED_REASONS),
    *("forbidden", "request_too_large", "session_lost", "claims_expired", "no", "unknown", "elsewhere"),
]
MEMBERS = ["reason", "delivered", "node", "retryAfterMs", "limit", "other"]


class Word(enum.StrEnum):
    CUT_OFF = "cut_off"
    REASON = "reason"


class Told(msgspec.Struct):
    reason: Any
    delivered: str = "no"


class Renamed(msgspec.Struct, rename={"why": "reason"}):
    why: Any


@dataclass
class Plain:
    reason: Any


words = st.sampled_from(WORDS) | st.just(Word.CUT_OFF)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MEMBERS) | st.just(Word.REASON), inner, max_size=4)
        | st.builds(Told, inner)
        | st.builds(Renamed, inner)
        | st.builds(Plain, inner)
    ),
    max_leaves=6,
)
smuggled = st.sampled_from(
    [
        msgspec.Raw(b'{"reason":"cut_off"}'),
        msgspec.Raw(b'{"\\u0072eason":"cut\\u005foff"}'),
        msgspec.Raw(b'{"reason":"x","reason":"deadline"}'),
        msgspec.Raw(b'{"reason":"deadline","reason":"x"}'),
        msgspec.Raw(b' \n{"reason": "cut_off"}'),
        {"x": msgspec.Raw(b'1,"reason":"cut_off"')},
        {"x": msgspec.Raw(b'1}},"error":{"code":-31900,"message":"m","data":{"reason":"busy"')},
        msgspec.Raw(b"{"),
        msgspec.Raw(b'{"reason":"\xff"}'),
        msgspec.Raw(b""),
    ]
)
code_values: Any = (
    st.sampled_from([*sorted(codes.RESERVED_CODES), codes.INTERNAL_ERROR, codes.INVALID_PARAMS])
    | st.integers(-33000, -31000)
    | st.sampled_from([-31900.0, True, 2**70, "-31900", None])
)


def answer_of(code: Any, message: str, data: Any) -> bytes:
    """What a node sends for a handler's error, as `Intake.ended` makes it."""
    try:
        error = jsonrpc.strip_reserved(jsonrpc.RpcError(code, message, data))
        return jsonrpc.encode_error(1, error.code, error.message, error.data)
    except (TypeError, ValueError, RecursionError):
        return jsonrpc.encode_error(1, codes.INTERNAL_ERROR, "bad", {"reason": "bad_result"})


@given(code_values, st.text(max_size=5), plain | smuggled)
@example(codes.INTERNAL_ERROR, "", {"reason": "cut_off"})
@example(codes.INTERNAL_ERROR, "", Renamed("deadline"))
@example(codes.INTERNAL_ERROR, "", {"reason": ["cut_off"]})
def test_whatever_a_handler_says_an_answered_call_is_yes(code: Any, message: str, data: Any):
    """M5.2"""
    answer = answer_of(code, message, data)
    error = jsonrpc.decode_response(answer).error
    assert isinstance(error, jsonrpc.RpcError)
    assert error.code not in codes.RESERVED_CODES
    said = error.data.get("reason") if isinstance(error.data, dict) else None
    assert said not in tuple(codes.RESERVED_REASONS)
    ended = endings.from_error(error, "eu")
    assert isinstance(ended, RemoteError)
    assert ended.delivered == "yes"


@given(st.integers(-33000, 33000), plain)
def test_an_asker_heeds_the_words_of_a_node_with_one_code_alone(code: int, data: Any):
    """M5.2: an older node lets a handler's words through."""
    error = jsonrpc.RpcError(code, "", msgspec.json.decode(msgspec.json.encode(data)))
    ended = endings.from_error(error, "eu")
    delivered = ended.delivered
    if code == codes.INTERNAL_ERROR:
        assert delivered in ("yes", "unknown")
    elif code in (codes.NOT_STARTED, codes.FORBIDDEN):
        assert delivered == "no"
    else:
        assert not isinstance(ended, Failure)
        assert delivered == "yes"
