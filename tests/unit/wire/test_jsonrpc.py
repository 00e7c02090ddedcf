from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Raw
from tests.support.oracle import agree, models

from longreach.wire import codes, jsonrpc
from longreach.wire.jsonrpc import Malformed, RequestMeta, RpcError
from longreach.wire.mcp import CallToolResult, TextContent

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
    "io.modelcontextprotocol/logLevel": "info",
    "progressToken": "p",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=b",
    "baggage": "k=v",
    "com.example/other": {"x": 1},
}


def call(**changes: Any) -> dict[str, Any]:
    """A tools/call as MCP has it; a change of None leaves a member out."""
    message: dict[str, Any] = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "hi"}, "_meta": META},
        **changes,
    }
    return {name: value for name, value in message.items() if value is not None}


def encoded(message: Any) -> bytes:
    return json.dumps(message).encode()


# -- requests


def test_a_call_is_read():
    agree(encoded(call()), models.CallToolRequest)
    request = jsonrpc.decode_call(encoded(call()))
    assert (request.id, request.method, request.params.name) == (7, "tools/call", "echo")
    assert json.loads(bytes(request.params.arguments)) == {"text": "hi"}
    meta = request.params.meta
    assert meta is not UNSET
    assert meta.protocol_version == "2026-07-28"
    assert meta.client_capabilities == {}
    assert json.loads(bytes(meta.client_info)) == {"name": "c", "version": "1"}
    assert (meta.log_level, meta.progress_token) == ("info", "p")
    assert (meta.traceparent, meta.tracestate, meta.baggage) == (META["traceparent"], "a=b", "k=v")


def test_a_call_needs_no_arguments_and_no_meta_to_be_read():
    request = jsonrpc.decode_call(encoded(call(params={"name": "echo"})))
    assert bytes(request.params.arguments) == b"{}"
    assert request.params.meta is UNSET


@pytest.mark.parametrize("request_id", [0, -1, 2**70, "", "a", "listen-1"])
def test_ids_are_integers_or_texts_and_come_back_as_they_are(request_id: int | str):
    got = jsonrpc.decode_call(encoded(call(id=request_id))).id
    assert got == request_id
    assert type(got) is type(request_id)
    assert json.loads(jsonrpc.encode_result(got, {}))["id"] == request_id


def test_members_of_a_newer_version_are_ignored():  # M11.1
    params = {"name": "echo", "inputResponses": {}, "requestState": "s", "new": [1]}
    assert jsonrpc.decode_call(encoded(call(params=params, new=1))).params.name == "echo"


@pytest.mark.parametrize(
    ("data", "code", "request_id"),
    [
        # M2.9
        (b"", codes.PARSE_ERROR, None),
        (b"{", codes.PARSE_ERROR, None),
        (b"nonsense", codes.PARSE_ERROR, None),
        (b'{"jsonrpc":"2.0","id":7}x', codes.PARSE_ERROR, None),
        (b'{"jsonrpc":"2.0","id":7,"method":"\xff","params":{"name":"a"}}', codes.PARSE_ERROR, None),
        (b'{"id":7,"params":' + b"[" * 100_000, codes.PARSE_ERROR, None),
        (b"null", codes.INVALID_REQUEST, None),
        (b"7", codes.INVALID_REQUEST, None),
        (encoded([call()]), codes.INVALID_REQUEST, None),  # M2.1: no batches
        (b"{}", codes.INVALID_REQUEST, None),
        (encoded(call(jsonrpc="1.0")), codes.INVALID_REQUEST, 7),
        (encoded(call(jsonrpc="x - at `$.params`")), codes.INVALID_REQUEST, 7),
        (encoded(call(method=5)), codes.INVALID_REQUEST, 7),
        (encoded(call(method=None)), codes.INVALID_REQUEST, 7),
        (encoded(call(id=None)), codes.INVALID_REQUEST, None),
        (encoded(call(id=1.5)), codes.INVALID_REQUEST, None),
        (encoded(call(id=True)), codes.INVALID_REQUEST, None),
        (encoded(call(id={"a": 1})), codes.INVALID_REQUEST, None),
        (encoded(call(params=None)), codes.INVALID_PARAMS, 7),
        (encoded(call(params=5)), codes.INVALID_PARAMS, 7),
        (encoded(call(params={"name": 5})), codes.INVALID_PARAMS, 7),
        (encoded(call(params={"name": "a", "_meta": 5})), codes.INVALID_PARAMS, 7),
        (encoded(call(params={"name": "a", "_meta": {"progressToken": []}})), codes.INVALID_PARAMS, 7),
        (
            encoded(call(params={"name": "a", "_meta": {"io.modelcontextprotocol/clientCapabilities": 5}})),
            codes.INVALID_PARAMS,
            7,
        ),
    ],
)  # fmt: skip
def test_what_is_no_call_says_how_to_answer(data: bytes, code: int, request_id: int | None):
    with pytest.raises(Malformed) as caught:
        jsonrpc.decode_call(data)
    assert (caught.value.code, caught.value.id) == (code, request_id)
    agree(jsonrpc.encode_error(caught.value.id, caught.value.code, str(caught.value)), ERROR)


def test_malformed_is_a_value_error():
    assert issubclass(Malformed, ValueError)


def test_any_request_is_read():
    request = jsonrpc.decode_request(
        b'{"jsonrpc":"2.0","id":"a","method":"tools/list","params":{"cursor":"x"}}'
    )
    assert (request.id, request.method, bytes(request.params)) == ("a", "tools/list", b'{"cursor":"x"}')
    assert bytes(jsonrpc.decode_request(b'{"jsonrpc":"2.0","id":1,"method":"m"}').params) == b"{}"


def test_a_notification_is_no_request_but_is_read():
    data = jsonrpc.encode_notification("notifications/cancelled", {"requestId": 7})
    agree(data, models.CancelledNotification)
    note = jsonrpc.decode_notification(data)
    assert (note.method, json.loads(bytes(note.params))) == ("notifications/cancelled", {"requestId": 7})
    with pytest.raises(Malformed):
        jsonrpc.decode_request(data)


@pytest.mark.parametrize("params", [{"_meta": META}, encoded({"_meta": META}), Raw(encoded({"_meta": META}))])
def test_a_request_is_encoded(params: Any):
    data = jsonrpc.encode_request("a", "tools/list", params)
    agree(data, models.ListToolsRequest)
    assert json.loads(data)["params"] == {"_meta": META}


def test_meta_is_encoded_as_it_was_said():
    meta = RequestMeta(
        "2026-07-28", {"elicitation": {}}, Raw(b'{"name":"c","version":"1"}'), "debug", 5, "tp"
    )
    data = jsonrpc.encode_request(1, "tools/call", {"name": "a", "_meta": meta})
    agree(data, models.CallToolRequest)
    assert jsonrpc.decode_call(data).params.meta == meta


# -- responses

ERROR = models.JSONRPCErrorResponse


@pytest.mark.parametrize(
    "result",
    [
        CallToolResult([TextContent("hi")]),
        {"content": [{"type": "text", "text": "hi"}], "resultType": "complete"},
        b'{"content":[{"type":"text","text":"hi"}],"resultType":"complete"}',
        Raw(b'{"content":[{"type":"text","text":"hi"}],"resultType":"complete"}'),
    ],
)
def test_a_result_is_encoded(result: Any):
    data = jsonrpc.encode_result(7, result)
    agree(data, models.CallToolResultResponse)
    response = jsonrpc.decode_response(data)
    assert response.id == 7
    assert response.error is UNSET
    assert msgspec.json.decode(response.result, type=CallToolResult).content == [TextContent("hi")]


def test_a_result_goes_out_byte_for_byte():
    assert b'{"a":  [1e3]}' in jsonrpc.encode_result(1, b'{"a":  [1e3]}')


@pytest.mark.parametrize("value", [object(), {"a": object()}, {1j}])
def test_a_result_without_a_json_form_is_refused(value: Any):
    with pytest.raises(TypeError):
        jsonrpc.encode_result(1, value)


def test_a_result_without_a_utf8_form_is_refused():
    with pytest.raises(ValueError, match="surrogates"):
        jsonrpc.encode_result(1, CallToolResult([TextContent("\ud800")]))


@pytest.mark.parametrize("request_id", [7, "a", None])
@pytest.mark.parametrize("detail", [None, UNSET, {"a": 1}, "x", 0, False])
def test_an_error_is_encoded(request_id: int | str | None, detail: Any):
    data = jsonrpc.encode_error(request_id, -32603, "no", detail)
    agree(data, ERROR)
    response = jsonrpc.decode_response(data)
    assert response.id == request_id
    assert response.result is UNSET
    assert response.error == RpcError(-32603, "no", UNSET if detail is None else detail)


@pytest.mark.parametrize("text", ["", "é", "a\ud800b", "\udfff"])
def test_an_error_can_always_be_told(text: str):
    message = json.loads(jsonrpc.encode_error(1, -32603, text))["error"]["message"]
    assert message == text.encode(errors="replace").decode()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", codes.PARSE_ERROR),
        (b"\xff", codes.PARSE_ERROR),
        (b'{"result":' + b"[" * 100_000, codes.PARSE_ERROR),
        (b"[]", codes.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1}', codes.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}', codes.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}', codes.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":1}}', codes.INVALID_REQUEST),
        (b'{"id":1,"result":{}}', codes.INVALID_REQUEST),
    ],
)
def test_what_is_no_response_is_malformed(data: bytes, code: int):
    with pytest.raises(Malformed) as caught:
        jsonrpc.decode_response(data)
    assert caught.value.code == code


def test_a_result_of_null_is_a_result():
    assert bytes(jsonrpc.decode_response(b'{"jsonrpc":"2.0","id":1,"result":null}').result) == b"null"


# -- not started


@pytest.mark.parametrize("reason", sorted(codes.NOT_STARTED_REASONS))
@pytest.mark.parametrize(("after_ms", "after_s"), [(None, None), (0, 0.0), (1500, 1.5)])
def test_a_refusal_says_why_and_when_to_ask_again(
    reason: codes.NotStartedReason, after_ms: int | None, after_s: float | None
):  # M5.1
    data = jsonrpc.encode_not_started(7, reason, after_ms)
    agree(data, ERROR)
    shown = json.loads(data)["error"]
    assert shown["code"] == -31900
    assert shown["data"] == {"reason": reason} | ({} if after_ms is None else {"retryAfterMs": after_ms})
    error = jsonrpc.decode_response(data).error
    assert error is not UNSET
    assert jsonrpc.not_started(error) == (reason, after_s)


def test_a_refusal_may_name_the_limit_and_the_node():  # M5.1
    data = jsonrpc.encode_not_started(7, "busy", 10, limit="rate", node="n1.a1")
    agree(data, ERROR)
    error = jsonrpc.decode_response(data).error
    assert error is not UNSET
    assert (jsonrpc.limit_of(error), jsonrpc.refuser_of(error)) == ("rate", "n1.a1")
    assert "limited (rate)" in error.message
    plain = RpcError(-31900, "", {"reason": "busy", "limit": 5, "node": "n" * 500})
    assert jsonrpc.limit_of(plain) is None
    assert jsonrpc.refuser_of(plain) == "n" * 256


@pytest.mark.parametrize("code", [-31899, -32603, 0, 31900])
def test_no_other_code_is_a_refusal(code: int):
    assert jsonrpc.not_started(RpcError(code, "", {"reason": "busy"})) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (UNSET, ("busy", None)),
        (None, ("busy", None)),
        ([], ("busy", None)),
        ({"reason": "a newer one"}, ("busy", None)),
        ({"reason": ["busy"]}, ("busy", None)),
        ({"reason": {}}, ("busy", None)),
        ({"reason": "expired", "retryAfterMs": -1}, ("expired", None)),
        ({"reason": "expired", "retryAfterMs": True}, ("expired", None)),
        ({"reason": "expired", "retryAfterMs": "5"}, ("expired", None)),
        ({"reason": "expired", "retryAfterMs": 2.5}, ("expired", 0.0025)),
        ({"reason": "expired", "retryAfterMs": 10**400}, ("expired", 86_400.0)),
    ],
)
def test_a_refusal_of_a_newer_or_careless_node_is_read(data: Any, expected: tuple[str, float | None]):
    assert jsonrpc.not_started(RpcError(codes.NOT_STARTED, "", data)) == expected


def test_a_handler_cannot_say_that_it_did_not_start():  # M5.2
    stripped = jsonrpc.strip_reserved(RpcError(codes.NOT_STARTED, "x", {"reason": "busy"}))
    assert stripped == RpcError(codes.INTERNAL_ERROR, "x", {"reason": "busy"})
    assert jsonrpc.not_started(stripped) is None


@pytest.mark.parametrize("code", [-32602, -32603, -31901, 1])
def test_any_other_error_of_a_handler_stays(code: int):
    error = RpcError(code, "x", {"a": 1})
    assert jsonrpc.strip_reserved(error) is error


# -- _meta


def checked(meta: dict[str, Any] | None) -> RpcError | None:
    params = {"name": "echo"} if meta is None else {"name": "echo", "_meta": meta}
    return jsonrpc.validate_meta(jsonrpc.decode_call(encoded(call(params=params))).params.meta)


def test_meta_that_says_version_and_capabilities_is_enough():
    assert checked({name: META[name] for name in list(META)[:2]}) is None


@pytest.mark.parametrize(
    "missing", [("protocolVersion",), ("clientCapabilities",), ("protocolVersion", "clientCapabilities")]
)
def test_meta_that_lacks_them_is_an_error_in_params(missing: tuple[str, ...]):  # M2.1
    meta = {name: value for name, value in META.items() if name.rpartition("/")[2] not in missing}
    problem = checked(meta)
    assert problem is not None
    assert problem.code == codes.INVALID_PARAMS
    assert f"io.modelcontextprotocol/{missing[0]}" in problem.message


def test_no_meta_at_all_names_both():
    problem = checked(None)
    assert problem is not None
    assert problem.code == codes.INVALID_PARAMS
    assert "io.modelcontextprotocol/protocolVersion" in problem.message
    assert "io.modelcontextprotocol/clientCapabilities" in problem.message


@pytest.mark.parametrize("version", ["2025-11-25", "2027-01-01", ""])
def test_another_version_is_refused_with_the_one_that_is_spoken(version: str):  # M2.1
    problem = checked({**META, "io.modelcontextprotocol/protocolVersion": version})
    assert problem is not None
    assert problem.data == {"supported": ["2026-07-28"], "requested": version}
    data = jsonrpc.encode_error(7, problem.code, problem.message, problem.data)
    agree(data, models.UnsupportedProtocolVersionError)


@pytest.mark.parametrize("decode", [jsonrpc.decode_call, jsonrpc.decode_request])
def test_what_a_request_skips_is_utf8_too(decode: Any) -> None:
    """M2.1: a bridge would hand it on to a server that stumbles over it."""
    good = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","x":"\xc3\xa9"}}'
    assert decode(good).id == 7
    with pytest.raises(jsonrpc.Malformed, match="UTF-8") as refused:
        decode(good.replace(b"\xc3\xa9", b"\xed\xa0\x80"))
    assert (refused.value.code, refused.value.id) == (-32700, 7)
