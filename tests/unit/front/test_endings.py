"""How a request ends at a front."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longreach import errors
from longreach.front import endings
from longreach.front.endings import failure, received, refusal
from longreach.wire import codes, jsonrpc


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (jsonrpc.encode_result(1, {"error": {"code": 5}}), None),
        (jsonrpc.encode_result("a", b"{}"), None),
        (jsonrpc.encode_result('a"b', b'{"x":1}'), None),
        (b'{"jsonrpc":"2.0","id":-1,"result":{}}', None),
        (b'{ "id": 1, "result": {"error":{"code":5}} }', None),
        (b'{"id":1,"error":null,"result":{}}', None),
        (jsonrpc.encode_error(1, -32602, "no"), -32602),
        (jsonrpc.encode_error("x", 7, '"result":'), 7),
        (b'{"error":{"code":-32020,"message":""},"id":1}', -32020),
        (b'{"error":{"code":"x"}}', codes.INTERNAL_ERROR),
        (b"nonsense", codes.INTERNAL_ERROR),
        (b"\xff", codes.INTERNAL_ERROR),
    ],
)
def test_an_answer_keeps_its_bytes_and_says_whether_it_is_an_error(data: bytes, code: int | None) -> None:
    answer = received(data)

    assert answer.data is data
    assert answer.code == code


@pytest.mark.parametrize(
    ("error", "code", "data"),
    [
        (
            errors.NotStarted("x", reason="busy", retry_after_s=1.5),
            endings.UNAVAILABLE,
            {"delivered": "no", "reason": "busy", "retryAfterMs": 1500},
        ),
        (
            errors.NotStarted("x", reason="busy", retry_after_s=0.1, limit="rate"),
            endings.UNAVAILABLE,
            {"delivered": "no", "reason": "busy", "retryAfterMs": 100, "limit": "rate"},
        ),
        (
            errors.NotFound("x", reason="not_fetched"),
            endings.UNAVAILABLE,
            {"delivered": "no", "reason": "not_fetched"},
        ),
        (
            errors.NotFound("x", reason="no_such_server"),
            endings.UNAVAILABLE,
            {"delivered": "no", "reason": "no_such_server"},
        ),
        (errors.ResidencyRefused("x"), endings.UNAVAILABLE, {"delivered": "no"}),
        (errors.BrokerUnavailable("x"), endings.UNAVAILABLE, {"delivered": "no"}),
        (
            errors.OutcomeUnknown("x", reason="node_died"),
            endings.OUTCOME_UNKNOWN,
            {"delivered": "unknown", "reason": "node_died"},
        ),
        (
            errors.CallTimeout("x", reason="deadline"),
            endings.TIMED_OUT,
            {"delivered": "unknown", "reason": "deadline"},
        ),
        (errors.PermissionDenied("x"), endings.FORBIDDEN, {"delivered": "no"}),
        (errors.TooLarge("x"), endings.TOO_LARGE, {"delivered": "no"}),
        (
            errors.RemoteError("x", reason="bad_result"),
            codes.INTERNAL_ERROR,
            {"delivered": "yes", "reason": "bad_result"},
        ),
    ],
)
def test_each_error_of_the_mesh_has_a_code_of_its_own_meaning(
    error: errors.LongreachError, code: int, data: dict[str, Any]
) -> None:
    answer = failure(3, error, "tools/call of 'a'")

    sent = json.loads(answer.data)
    assert (answer.code, sent["id"], sent["error"]["code"], sent["error"]["data"]) == (code, 3, code, data)
    assert "tools/call of 'a'" in sent["error"]["message"]


@pytest.mark.parametrize("reason", ["no_such_tool", "no_such_prompt", "no_such_resource"])
def test_what_no_node_offers_is_a_wrong_parameter(reason: str) -> None:
    assert failure(3, errors.NotFound("x", reason=reason), "tools/call of 'a'").code == codes.INVALID_PARAMS


def test_no_code_of_ours_is_one_that_json_rpc_or_the_mesh_has_reserved() -> None:
    ours = {
        endings.UNAVAILABLE, endings.OUTCOME_UNKNOWN, endings.TIMED_OUT, endings.FORBIDDEN, endings.TOO_LARGE,
    }  # fmt: skip

    assert len(ours) == 5
    assert not ours & {codes.NOT_STARTED}
    assert not any(-32768 <= code <= -32000 for code in ours)


def test_a_refusal_of_a_message_without_an_id() -> None:
    assert json.loads(refusal(None, -32700, "no JSON").data)["id"] is None
