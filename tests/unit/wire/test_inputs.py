from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import UNSET
from tests.support.oracle import agree, models

from longreach.wire import inputs, mcp

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
FORM = inputs.ElicitRequest(inputs.ElicitParams("Who?", SCHEMA, "form"))
URL = inputs.ElicitRequest(inputs.ElicitParams("Go there.", mode="url", url="https://example.org/x"))
HELLO = inputs.SamplingMessage("user", mcp.TextContent("Hi"))
TOOL = mcp.Tool("t", {"type": "object"})
USE = inputs.ToolUseContent("1", "t", {"a": 1})
RESULT = inputs.ToolResultContent("1", [mcp.TextContent("ok")], {"a": 1}, False)
SAMPLE = inputs.CreateMessageRequest(inputs.CreateMessageParams([HELLO], 100))
FULL_SAMPLE = inputs.CreateMessageRequest(
    inputs.CreateMessageParams(
        [HELLO, inputs.SamplingMessage("assistant", [USE]), inputs.SamplingMessage("user", [RESULT], {})],
        100,
        inputs.ModelPreferences([inputs.ModelHint("small")], 0.1, 0.2, 0.3),
        "Be brief.",
        "none",
        0.5,
        ["."],
        {"x": 1},
        [TOOL],
        inputs.ToolChoice("auto"),
    )
)
ROOTS = inputs.ListRootsRequest()
MESSAGES: list[tuple[msgspec.Struct, Any]] = [
    (FORM, models.ElicitRequest),
    (URL, models.ElicitRequest),
    (SAMPLE, models.CreateMessageRequest),
    (FULL_SAMPLE, models.CreateMessageRequest),
    (ROOTS, models.ListRootsRequest),
    (inputs.ElicitResult("accept", {"name": "a", "n": 1, "b": True, "l": ["x"]}), models.ElicitResult),
    (inputs.ElicitResult("decline"), models.ElicitResult),
    (inputs.CreateMessageResult("assistant", mcp.TextContent("x"), "m"), models.CreateMessageResult),
    (inputs.CreateMessageResult("assistant", [USE], "m", "toolUse", {}), models.CreateMessageResult),
    (
        inputs.ListRootsResult([inputs.Root("file:///a", "A"), inputs.Root("file:///b")]),
        models.ListRootsResult,
    ),
    (
        inputs.InputRequiredResult({"a": FORM, "b": FULL_SAMPLE, "c": ROOTS, "d": URL}, "s", {"x": 1}),
        models.InputRequiredResult,
    ),
    (inputs.InputRequiredResult(request_state="s"), models.InputRequiredResult),
]


@pytest.mark.parametrize(("message", "model"), MESSAGES)
def test_what_we_write_is_what_mcp_has(message: msgspec.Struct, model: Any) -> None:
    data = msgspec.json.encode(message)
    agree(data, model)
    assert msgspec.json.decode(data, type=type(message)) == message


def test_the_type_of_the_result_is_always_written() -> None:
    written = json.loads(msgspec.json.encode(inputs.InputRequiredResult({"a": FORM})))
    assert written["resultType"] == "input_required"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"mode": "url"}, {"url": "https://x"}, {"requested_schema": {}, "url": "https://x", "mode": "url"}],
)
def test_an_elicitation_is_a_form_or_a_page(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="requestedSchema, or mode url"):
        inputs.ElicitParams("m", **arguments)


def test_a_result_without_requests_has_a_state() -> None:
    for empty in (UNSET, {}):
        with pytest.raises(ValueError, match="requests, a request state, or both"):
            inputs.InputRequiredResult(empty)


@pytest.mark.parametrize(
    ("request_", "required"),
    [
        (FORM, {"elicitation": {"form": {}}}),
        (URL, {"elicitation": {"url": {}}}),
        (SAMPLE, {"sampling": {}}),
        (FULL_SAMPLE, {"sampling": {"tools": {}}}),
        (
            inputs.CreateMessageRequest(inputs.CreateMessageParams([HELLO], 1, include_context="allServers")),
            {"sampling": {"context": {}}},
        ),
        (ROOTS, {"roots": {}}),
    ],
)
def test_what_a_client_must_be_able_to_do(request_: inputs.InputRequest, required: Any) -> None:
    assert inputs.required_capability(request_) == required


def test_responses_come_by_key_and_extra_members_are_no_harm() -> None:
    found = inputs.split_responses(b'{"a": {"action": "cancel", "x": 1}, "b": {"roots": []}}')
    assert list(found) == ["a", "b"]
    assert inputs.decode_response("a", "elicitation/create", found["a"]) == inputs.ElicitResult("cancel")
    assert inputs.decode_response("b", None, found["b"]) == inputs.ListRootsResult([])
    assert isinstance(inputs.decode_response("a", None, found["a"]), inputs.ElicitResult)
    said = b'{"role": "assistant", "content": {"type": "text", "text": "Hi"}, "model": "m"}'
    answer = inputs.decode_response("c", None, said)
    assert isinstance(answer, inputs.CreateMessageResult)
    assert answer.text == "Hi"


@pytest.mark.parametrize("wrong", [b"null", b"[]", b"3", b'{"a": 12345}', b'{"a": null}', b"{", b"\xff"])
def test_responses_that_are_none(wrong: bytes) -> None:
    with pytest.raises(inputs.InvalidResponses, match="an object that holds an object"):
        inputs.split_responses(wrong)


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("elicitation/create", b'{"action": "maybe"}'),
        ("elicitation/create", b'{"roots": []}'),
        ("roots/list", b'{"roots": [1]}'),
        (None, b'{"x": 1}'),
    ],
)
def test_a_response_that_does_not_fit_is_named(method: str | None, wrong: bytes) -> None:
    with pytest.raises(inputs.InvalidResponses, match="the response 'k' cannot be read"):
        inputs.decode_response("k", method, wrong)
