from __future__ import annotations

from typing import Any

import pytest

from longreach.policy.journal import Entry
from longreach.policy.sealing import StateRefused
from longreach.policy.states import Bound, Saved, bind, decode_saved, encode_saved

REQUEST: dict[str, Any] = {
    "namespace": "default", "via": "_", "caller": "al", "server": "docs", "method": "tools/call", "name": "t",
    "uri": "", "arguments": b'{"a": 1, "b": [1.5]}', "version": "1.0.0", "definition": b"{}",
}  # fmt: skip


def bound(**changes: Any) -> Bound:
    return bind(**{**REQUEST, **changes})


def test_what_is_saved_comes_back():
    saved = Saved(
        bound(), 1000, True, [Entry("k", "ask", False, b"d", b"1"), Entry("s", "step", True)], b"{}"
    )
    assert decode_saved(encode_saved(saved), bound(), 999) == saved


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"namespace": "other"}, "other_caller"),
        ({"via": "gw"}, "other_caller"),
        ({"caller": "eve"}, "other_caller"),
        ({"via": "_al", "caller": ""}, "other_caller"),
        ({"server": "other"}, "other_request"),
        ({"method": "prompts/get"}, "other_request"),
        ({"name": "u"}, "other_request"),
        ({"uri": "x://y"}, "other_request"),
        ({"arguments": b'{"a": 1}'}, "other_arguments"),
        ({"arguments": b'{"a": 1, "b": [1.5'}, "other_arguments"),
        ({"version": "1.0.1"}, "other_version"),
        ({"definition": b"[]"}, "other_version"),
    ],
)
def test_a_state_is_refused_for_anything_else(change: Any, reason: str):
    data = encode_saved(Saved(bound(), 1000, False, []))
    with pytest.raises(StateRefused) as caught:
        decode_saved(data, bound(**change), 0)
    assert caught.value.reason == reason
    assert "make the request anew without requestState" in str(caught.value)


@pytest.mark.parametrize("same", [b'{ "b":[1.5],"a":1}', b'{"a":1,"b":[1.50]}'])
def test_arguments_are_compared_as_json(same: bytes):
    assert bound(arguments=same) == bound()


def test_the_next_round_may_come_through_another_gateway_of_the_same_caller():
    assert bound(via="gw-1") == bound(via="gw-2")
    assert bound(via="gw-1").asker != bound().asker
    assert bound(via="gw-1").asker != bound(via="gw-2", caller="eve").asker


def test_no_arguments_are_an_empty_object():
    assert bound(arguments=b"null") == bound(arguments=b"{}") == bound(arguments=b" { } ")


@pytest.mark.parametrize(("now_ms", "fits"), [(999, True), (1000, False)])
def test_a_state_ends(now_ms: int, fits: bool):
    data = encode_saved(Saved(bound(), 1000, False, []))
    if fits:
        decode_saved(data, bound(), now_ms)
        return
    with pytest.raises(StateRefused) as caught:
        decode_saved(data, bound(), now_ms)
    assert caught.value.reason == "expired"


@pytest.mark.parametrize("data", [b"", b"\x93", b"\x90", b"junk"])
def test_what_cannot_be_read_is_refused(data: bytes):
    with pytest.raises(StateRefused) as caught:
        decode_saved(data, bound(), 0)
    assert caught.value.reason == "altered"
