from __future__ import annotations

import msgspec
import pytest

from longreach.client.results import RawResult, decode_response, error_text, to_call_result
from longreach.errors import RemoteError
from longreach.wire.jsonrpc import RpcError


def raw(**members: object) -> RawResult:
    response = decode_response(msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "result": members}))
    assert isinstance(response, RawResult)
    return response


def test_everything_a_result_says_is_there():
    result = to_call_result(
        raw(
            content=[
                {"type": "text", "text": "a"},
                {"type": "image", "data": "", "mimeType": "x"},
                {"type": "text", "text": "b"},
            ],
            structuredContent={"n": [1, None]},
            _meta={"longreach/region": "eu", "longreach/node": "n1.i", "more": 1},
            new="ignored",
        ),
        2,
        ("busy",),
    )  # fmt: skip
    assert result.text == "a\nb"
    assert result.structured == {"n": [1, None]}
    assert (result.region, result.node) == ("eu", "n1.i")
    assert (result.attempts, result.retries, result.is_error) == (2, ("busy",), False)
    assert repr(result) == "<CallResult result 'a\\nb' from n1.i in eu>"


def test_what_is_left_out_is_empty():
    """M11.1: no member is required that an earlier binding did not have."""
    result = to_call_result(raw(), 1, ())
    assert (result.content, result.structured, result.meta, result.is_error) == ([], None, {}, False)
    assert result.node is None


@pytest.mark.parametrize("meta", [None, [], 7, "x"])
def test_a_meta_that_is_none_is_empty(meta: object):
    assert to_call_result(raw(_meta=meta), 1, ()).meta == {}


@pytest.mark.parametrize("structured", [None, 0, [], "", False])
def test_structured_content_that_is_falsy_is_itself(structured: object):
    assert to_call_result(raw(structuredContent=structured), 1, ()).structured == structured


def test_an_error_response_is_an_error():
    error = decode_response(b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m","data":[1]}}')
    assert isinstance(error, RpcError)
    assert (error.code, error.message, error.data) == (-1, "m", [1])


@pytest.mark.parametrize("content", [{}, [7], [{"type": "nope"}], "x"])
def test_content_that_is_none_is_an_error_after_the_fact(content: object):
    with pytest.raises(RemoteError) as ended:
        to_call_result(raw(content=content), 1, ())
    assert ended.value.delivered == "yes"
    assert error_text(raw(content=content, isError=True)) == "the tool failed and says no more"


def test_an_errors_text_is_the_tools():
    assert error_text(raw(content=[{"type": "text", "text": "no such page"}], isError=True)) == "no such page"
    assert error_text(raw(isError=True)) == "the tool failed and says no more"
