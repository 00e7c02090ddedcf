from __future__ import annotations

import base64

import pytest
from tests.support.gateways import encode, headers_for, message

from longreach.wire.incoming import decode_incoming
from longreach_gateway.mirrors import Unreadable, decode_value, find_duplicate, find_mismatch


def sentinel(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"echo", "echo"),
        (b"  echo\t", "echo"),
        (b"", ""),
        (b"=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, 世界"),
        (b"=?base64?IHBhZGRlZCA=?=", " padded "),
        (b"=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?="),
        (b"=?base64??=", ""),
        (b"=?BASE64?SGk=?=", "=?BASE64?SGk=?="),
        (b"=?base64?SGk=", "=?base64?SGk="),
    ],
)
def test_a_value_is_read_as_it_stands_or_out_of_its_base64(raw: bytes, value: str):
    assert decode_value(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"caf\xc3\xa9",
        b"a\x00b",
        b"a\x7fb",
        b"=?base64?SGk?=",
        b"=?base64?S*k=?=",
        b"=?base64?SGl=?=",
        b"=?base64?/w==?=",
        b"=?base64?SGk= ?=",
    ],
)
def test_a_value_that_no_client_may_send_is_refused(raw: bytes):
    with pytest.raises(Unreadable):
        decode_value(raw)


def mismatch(body: dict, headers: dict[str, str]) -> str | None:
    request = decode_incoming(encode(body))
    return find_mismatch(
        {name.encode(): value.encode("latin-1") for name, value in headers.items()},
        request,
        body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"],
    )


CALL = message("tools/call", {"name": "echo", "arguments": {}})
READ = message("resources/read", {"uri": "file:///naïve"})


@pytest.mark.parametrize(
    ("body", "changes", "wrong"),
    [
        (CALL, {}, None),
        (CALL, {"mcp-name": sentinel("echo")}, None),
        (CALL, {"mcp-name": " echo "}, None),
        (CALL, {"mcp-method": "tools/call "}, None),
        (READ, {"mcp-name": sentinel("file:///naïve")}, None),
        (message("tools/list"), {}, None),
        (message("tools/list"), {"mcp-name": "whatever"}, None),
        (message("tools/call"), {}, None),
        (CALL, {"mcp-name": "other"}, "Mcp-Name says 'other'"),
        (CALL, {"mcp-name": "Echo"}, "Mcp-Name"),
        (CALL, {"mcp-name": None}, "Mcp-Name is missing"),
        (CALL, {"mcp-name": "=?base64?%%%?="}, "Mcp-Name has base64"),
        (CALL, {"mcp-method": None}, "Mcp-Method is missing"),
        (CALL, {"mcp-method": "TOOLS/CALL"}, "Mcp-Method says"),
        (CALL, {"mcp-method": sentinel("tools/call")}, "Mcp-Method says"),
        (CALL, {"mcp-protocol-version": None}, "MCP-Protocol-Version is missing"),
        (CALL, {"mcp-protocol-version": "2025-11-25"}, "MCP-Protocol-Version says"),
        (READ, {"mcp-name": "file:///na\xefve"}, "Mcp-Name has characters"),
        (message("tools/call"), {"mcp-name": "echo"}, "names nothing"),
    ],
)
def test_headers_must_say_what_the_body_says(body: dict, changes: dict, wrong: str | None):
    headers = {**headers_for(body), **changes}
    problem = mismatch(body, {name: value for name, value in headers.items() if value is not None})

    assert problem is None if wrong is None else wrong in (problem or "")


def test_what_is_quoted_of_a_header_is_bounded():
    problem = mismatch(CALL, headers_for(CALL, mcp_name="x" * 5000))

    assert problem is not None
    assert len(problem) < 300


@pytest.mark.parametrize(
    ("names", "twice"),
    [
        ([b"host", b"mcp-name", b"accept", b"accept"], None),
        ([b"mcp-name", b"mcp-name"], "mcp-name"),
        ([b"mcp-method", b"x", b"mcp-method"], "mcp-method"),
        ([b"mcp-protocol-version", b"mcp-protocol-version"], "mcp-protocol-version"),
        ([b"mcp-param-region", b"mcp-param-region"], "mcp-param-region"),
    ],
)
def test_a_mirrored_header_that_is_there_twice_is_found(names: list[bytes], twice: str | None):
    assert find_duplicate([(name, b"x") for name in names]) == twice
