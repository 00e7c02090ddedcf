"""The two eras' words for the same thing."""

from __future__ import annotations

import msgspec
import pytest
from mcp_types.methods import validate_client_request, validate_server_result

from longreach.wire.jsonrpc import RpcError
from longreach_gateway.legacy import eras
from longreach_gateway.legacy.eras import Client

CLIENT = Client(
    "2025-11-25", {"elicitation": {}, "roots": {"listChanged": True}}, {"name": "c", "version": "1"}
)
VENDOR = "io.modelcontextprotocol/"


def test_a_client_is_what_it_says_with_initialize() -> None:
    client = eras.read_client(
        {
            "protocolVersion": "2025-06-18",
            "capabilities": {"sampling": {}, "tasks": {}, "roots": None},
            "clientInfo": {"name": "x", "version": "2"},
        }
    )
    assert client == Client("2025-06-18", {"sampling": {}}, {"name": "x", "version": "2"})


def test_an_unknown_version_gets_the_newest() -> None:
    client = eras.read_client({"protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": {}})
    assert client is not None
    assert client.version == "2025-11-25"


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        {"protocolVersion": 7, "capabilities": {}, "clientInfo": {}},
        {"protocolVersion": "2025-11-25", "capabilities": [], "clientInfo": {}},
        {"protocolVersion": "2025-11-25", "capabilities": {}},
    ],
)
def test_a_malformed_initialize_is_none(params: dict[str, object] | None) -> None:
    assert eras.read_client(params) is None


def test_a_request_says_of_its_client_what_initialize_said() -> None:
    data = eras.modern_request(
        7, "tools/call",
        {"name": "t", "arguments": {"a": [1, {"b": None}]}, "odd": 1,
         "_meta": {"progressToken": "p", "mine": {}}},
        CLIENT, log_level="debug",
    )  # fmt: skip
    request = msgspec.json.decode(data)
    validate_client_request("tools/call", "2026-07-28", request["params"])
    assert request["params"]["arguments"] == {"a": [1, {"b": None}]}
    assert request["params"]["odd"] == 1
    assert request["params"]["_meta"] == {
        "progressToken": "p",
        "mine": {},
        VENDOR + "protocolVersion": "2026-07-28",
        VENDOR + "clientCapabilities": CLIENT.capabilities,
        VENDOR + "clientInfo": CLIENT.info,
        VENDOR + "logLevel": "debug",
        "longreach/era": CLIENT.version,
    }


def test_a_legacy_client_cannot_speak_for_our_era() -> None:
    params = {
        "name": "t",
        "inputResponses": {"x": {}},
        "requestState": "forged",
        "_meta": {VENDOR + "clientCapabilities": {"sampling": {}}, VENDOR + "protocolVersion": "2099-01-01"},
    }
    sent = msgspec.json.decode(eras.modern_request(1, "tools/call", params, CLIENT))["params"]
    assert "inputResponses" not in sent
    assert "requestState" not in sent
    assert sent["_meta"][VENDOR + "clientCapabilities"] == CLIENT.capabilities
    assert sent["_meta"][VENDOR + "protocolVersion"] == "2026-07-28"


def test_answers_and_state_go_with_the_retry() -> None:
    data = eras.modern_request(
        2, "tools/call", {"name": "t"}, CLIENT, input_responses={"k": {"action": "accept"}}, request_state="s"
    )
    params = msgspec.json.decode(data)["params"]
    assert params["inputResponses"] == {"k": {"action": "accept"}}
    assert params["requestState"] == "s"


def test_a_result_loses_only_what_the_older_versions_do_not_have() -> None:
    result = {
        "resultType": "complete", "ttlMs": 5, "cacheScope": "public",
        "tools": [{"name": "t", "inputSchema": {"type": "object"}, "odd": [1]}],
        "nextCursor": "c", "_meta": {"mine": 1}, "unknown": {"x": 1},
    }  # fmt: skip
    mapped = eras.legacy_result("tools/list", result)
    assert mapped == {
        name: result[name] for name in result if name not in ("resultType", "ttlMs", "cacheScope")
    }
    validate_server_result("tools/list", "2025-11-25", mapped)


def test_an_object_is_structured_content_in_both_eras() -> None:
    result = {"resultType": "complete", "content": [], "structuredContent": {"a": 1}}
    assert eras.legacy_result("tools/call", result)["structuredContent"] == {"a": 1}


def test_other_structured_content_is_told_as_text() -> None:
    result = {"resultType": "complete", "content": [], "structuredContent": [1, "ü"]}
    mapped = eras.legacy_result("tools/call", result)
    assert mapped == {"content": [{"type": "text", "text": '[1,"ü"]'}]}
    validate_server_result("tools/call", "2025-11-25", mapped)


def test_output_schemas_that_are_no_objects_are_left_out() -> None:
    tools = [
        {"name": "a", "outputSchema": {"type": "object"}},
        {"name": "b", "outputSchema": {"type": "array"}},
        {"name": "c"},
        "no tool",
    ]
    mapped = eras.legacy_result("tools/list", {"tools": tools})["tools"]
    assert mapped == [tools[0], {"name": "b"}, tools[2], "no tool"]


def test_a_missing_resource_has_its_old_code() -> None:
    error = RpcError(-32602, "Resource not found", {"uri": "a:b"})
    assert eras.legacy_error("resources/read", error).code == -32002
    assert eras.legacy_error("tools/call", error).code == -32602
    assert eras.legacy_error("resources/read", RpcError(-32602, "bad")).code == -32602


def test_our_own_code_stays_inside() -> None:
    assert eras.legacy_error("tools/call", RpcError(-31900, "busy", {"reason": "busy"})).code == -32603


def test_initialize_offers_what_the_mesh_offers() -> None:
    discovered = {
        "capabilities": {"tools": {}},
        "instructions": "read me",
        "_meta": {VENDOR + "serverInfo": {"name": "n", "version": "1"}},
    }
    result = eras.initialize_result("2025-06-18", discovered, "fallback")
    assert result == {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}, "logging": {}},
        "serverInfo": {"name": "n", "version": "1"},
        "instructions": "read me",
    }
    validate_server_result("initialize", "2025-06-18", result)


def test_initialize_offers_everything_while_the_mesh_is_out_of_reach() -> None:
    result = eras.initialize_result("2025-11-25", None, "longreach")
    assert result["capabilities"]["resources"] == {"listChanged": True, "subscribe": True}
    assert result["serverInfo"]["name"] == "longreach"
    validate_server_result("initialize", "2025-11-25", result)


@pytest.mark.parametrize(
    ("request_", "lacks"),
    [
        ({"method": "elicitation/create", "params": {"mode": "form"}}, None),
        ({"method": "elicitation/create"}, None),
        ({"method": "roots/list"}, None),
        ({"method": "elicitation/create", "params": {"mode": "url"}}, "elicitation.url"),
        ({"method": "sampling/createMessage"}, "sampling"),
        ({"method": "tools/list"}, "an answer to 'tools/list'"),
        ("nonsense", "an answer to None"),
    ],
)
def test_a_client_is_asked_only_for_what_it_can_do(request_: object, lacks: str | None) -> None:
    assert eras.lacking(CLIENT, request_) == lacks


def test_an_elicitation_by_url_gets_the_id_that_it_had() -> None:
    method, params = eras.legacy_question(
        CLIENT,
        {"method": "elicitation/create", "params": {"mode": "url", "url": "https://x", "message": "m"}},
    )
    assert method == "elicitation/create"
    assert params is not None
    assert len(params.pop("elicitationId")) >= 16
    assert params == {"mode": "url", "url": "https://x", "message": "m"}


def test_a_mode_is_not_said_to_a_client_that_knows_none() -> None:
    old = Client("2025-06-18", {"elicitation": {}}, {})
    request = {"method": "elicitation/create", "params": {"mode": "form", "message": "m"}}
    assert eras.legacy_question(old, request) == ("elicitation/create", {"message": "m"})
    assert eras.legacy_question(CLIENT, request)[1] == {"mode": "form", "message": "m"}
