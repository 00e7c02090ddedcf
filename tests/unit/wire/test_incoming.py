"""Requests of MCP clients, read once and kept byte for byte."""

from __future__ import annotations

import pytest

from longreach.wire import codes
from longreach.wire.incoming import decode_incoming
from longreach.wire.jsonrpc import Malformed, validate_meta

META = (
    b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientCapabilities":{},"traceparent":"00-1-2-01","x/y":1}'
)


def test_a_call_is_read_as_far_as_routing_needs_it() -> None:
    data = (
        b'{"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "echo", '
        b'"arguments": {"x": 1.50}, "requestState": "lr~n.i~s", ' + META + b"}}"
    )

    request = decode_incoming(data)

    assert (request.id, request.method, request.name) == ("a", "tools/call", "echo")
    assert request.request_state == "lr~n.i~s"
    assert validate_meta(request.meta) is None
    assert request.data is data
    assert bytes(request.params).startswith(b'{"name": "echo", "arguments": {"x": 1.50}')


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("resources/read", b'{"uri":"a:b"}', "a:b"),
        ("resources/read", b'{"uri":"a:b","name":"n"}', "a:b"),
        ("resources/read", b"{}", None),
        ("prompts/get", b'{"name":"n","uri":"a:b"}', "n"),
        ("tools/list", b"{}", None),
    ],
)
def test_the_name_is_that_of_what_is_asked_for(method: str, params: bytes, name: str | None) -> None:
    request = decode_incoming(
        b'{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}' % (method.encode(), params)
    )

    assert request.name == name
    assert request.request_state is None


def test_without_params_nothing_is_stated_and_the_check_says_so() -> None:
    request = decode_incoming(b'{"jsonrpc":"2.0","id":1,"method":"server/discover"}')

    assert bytes(request.params) == b"{}"
    error = validate_meta(request.meta)
    assert error is not None
    assert error.code == codes.INVALID_PARAMS


@pytest.mark.parametrize(
    ("data", "code", "request_id"),
    [
        (b"", codes.PARSE_ERROR, None),
        (b"{", codes.PARSE_ERROR, None),
        (b"\xff", codes.PARSE_ERROR, None),
        (b"[]", codes.INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","method":"notifications/cancelled"}', codes.INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', codes.INVALID_REQUEST, 1),
        (b'{"jsonrpc":"1.0","id":1,"method":"a"}', codes.INVALID_REQUEST, 1),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"a"}', codes.INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":[]}', codes.INVALID_PARAMS, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":1}}', codes.INVALID_PARAMS, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":[]}}', codes.INVALID_PARAMS, 1),
    ],
)
def test_what_is_no_request_gets_the_code_to_answer_with(
    data: bytes, code: int, request_id: int | None
) -> None:
    with pytest.raises(Malformed) as caught:
        decode_incoming(data)

    assert (caught.value.code, caught.value.id) == (code, request_id)


def test_what_is_skipped_is_utf8_too():
    with pytest.raises(Malformed) as refused:
        decode_incoming(b'{"jsonrpc":"2.0","id":7,"method":"m","params":{"other":"\xc3\x28"}}')

    assert (refused.value.code, refused.value.id) == (codes.PARSE_ERROR, 7)
    assert decode_incoming('{"jsonrpc":"2.0","id":7,"method":"m","params":{"other":"ä"}}'.encode()).id == 7
