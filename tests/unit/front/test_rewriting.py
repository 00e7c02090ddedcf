"""Names and URIs, replaced where they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from longreach.front.rewriting import with_offered_uris, with_params
from longreach.wire.jsonrpc import encode_result


def result(value: Any) -> bytes:
    return encode_result(1, value)


def rewritten(value: Any) -> Any:
    return json.loads(with_offered_uris(result(value), "docs"))["result"]


def test_params_change_and_nothing_else() -> None:
    data = (
        b'{"jsonrpc":"2.0", "id":7, "method":"tools/call", "x":1.50, '
        b'"params":{"name":"docs__a", "arguments":{"name":"docs__a","n":1.50}, "_meta":{"k":[ 1 ]}}}'
    )

    changed = with_params(data, {"name": "a"})

    expected = json.loads(data)
    expected["params"]["name"] = "a"
    assert json.loads(changed) == expected
    assert b'{"name":"docs__a","n":1.50}' in changed
    assert b'{"k":[ 1 ]}' in changed


def test_params_take_json_too() -> None:
    changed = with_params(b'{"params":{}}', {"arguments": Raw(b'{"a":1.50}')})

    assert changed == b'{"params":{"arguments":{"a":1.50}}}'


def test_linked_and_embedded_resources_of_a_tool() -> None:
    link = {"type": "resource_link", "uri": "file:///a", "name": "a", "_meta": {"uri": "x"}}
    embedded = {"type": "resource", "resource": {"uri": "file:///b", "text": "t", "_meta": {"uri": "x"}}}
    text = {"type": "text", "text": '"uri"', "uri": "mine"}

    found = rewritten({"content": [link, embedded, text], "structuredContent": {"uri": "file:///a"}})

    assert found == {
        "content": [
            {**link, "uri": "longreach://docs/file:///a"},
            {**embedded, "resource": {**embedded["resource"], "uri": "longreach://docs/file:///b"}},
            text,
        ],
        "structuredContent": {"uri": "file:///a"},
    }


def test_a_link_to_the_web_is_for_the_client_to_follow_and_what_is_embedded_is_not() -> None:
    link = {"type": "resource_link", "uri": "https://example.org/a", "name": "a"}
    embedded = {"type": "resource", "resource": {"uri": "https://example.org/a", "text": "t"}}

    found = rewritten({"content": [link, embedded]})["content"]

    assert found[0] == link
    assert found[1]["resource"]["uri"] == "longreach://docs/https://example.org/a"


def test_contents_of_a_resource() -> None:
    assert rewritten({"contents": [{"uri": "a:b", "blob": "eA=="}, {"uri": "a:c", "text": "x"}]}) == {
        "contents": [
            {"uri": "longreach://docs/a:b", "blob": "eA=="},
            {"uri": "longreach://docs/a:c", "text": "x"},
        ]
    }


def test_messages_of_a_prompt() -> None:
    message = {"role": "user", "content": {"type": "resource", "resource": {"uri": "a:b", "text": ""}}}
    plain = {"role": "user", "content": {"type": "text", "text": "hi"}}

    found = rewritten({"messages": [message, plain]})

    assert found["messages"][0]["content"]["resource"]["uri"] == "longreach://docs/a:b"
    assert found["messages"][1] == plain


def test_an_error_about_a_resource() -> None:
    data = b'{"id":1,"error":{"code":-32602,"message":"no","data":{"uri":"a:b","x":1}}}'

    error = json.loads(with_offered_uris(data, "docs"))["error"]

    assert error == {"code": -32602, "message": "no", "data": {"uri": "longreach://docs/a:b", "x": 1}}


@pytest.mark.parametrize(
    "data",
    [
        result({"content": [{"type": "text", "text": "no resource"}]}),
        result({"inputRequests": {"uri": {"method": "roots/list"}}, "resultType": "input_required"}),
        result({"structuredContent": {"uri": 1}, "content": []}),
        b'{"id":1,"error":{"code":1,"message":"\\"uri\\"","data":{"uri":1}}}',
        b'{"id":1,"error":{"code":1,"message":"x","data":["uri",{"uri":"a:b"}]}}',
        b'{"id":1,"error":{"code":1,"message":"no \\"uri\\" here"}}',
        b'{"id":1,"uri":"a:b"}',
        b'{"id":1,"result":["uri"]}',
        b'{"id":1,"result":{"content":{"uri":1}}}',
        b'{"id":1,"result":{"content":[1,"uri"]}}',
        b'{"id":1,"result":{"contents":[{"uri":1}]}}',
        b'"uri"',
        b'{"uri"',
        b'\xff"uri"',
    ],
)
def test_what_names_no_resource_keeps_its_bytes(data: bytes) -> None:
    assert with_offered_uris(data, "docs") is data
