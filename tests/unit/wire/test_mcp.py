from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Raw
from tests.support.oracle import agree, models

from longreach.wire import mcp

ICON = mcp.Icon("https://example.org/i.png", "image/png", ["48x48", "any"], "dark")
FOR_USER = mcp.Annotations(["user", "assistant"], 0.5, "2026-07-28T00:00:00Z")
CONTENT = [
    (mcp.TextContent(""), models.TextContent),
    (mcp.TextContent("hi", FOR_USER, {"x": 1}), models.TextContent),
    (mcp.ImageContent("aGk=", "image/png"), models.ImageContent),
    (mcp.ImageContent("aGk=", "image/png", FOR_USER, {"x": 1}), models.ImageContent),
    (mcp.AudioContent("aGk=", "audio/wav"), models.AudioContent),
    (mcp.AudioContent("aGk=", "audio/wav", FOR_USER, {"x": 1}), models.AudioContent),
    (mcp.ResourceLink("file:///a", "a"), models.ResourceLink),
    (
        mcp.ResourceLink("file:///a", "a", "A", "An a.", "text/plain", 3, [ICON], FOR_USER, {"x": 1}),
        models.ResourceLink,
    ),
    (mcp.EmbeddedResource(mcp.ResourceContents("file:///a", text="")), models.EmbeddedResource),
    (
        mcp.EmbeddedResource(
            mcp.ResourceContents("file:///a", "text/plain", text="hi", meta={"x": 1}), FOR_USER, {"x": 1}
        ),
        models.EmbeddedResource,
    ),
    (
        mcp.EmbeddedResource(mcp.ResourceContents("file:///a", "image/png", blob="aGk=")),
        models.EmbeddedResource,
    ),
]
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}
TOOLS = [
    mcp.Tool("a", {"type": "object"}),
    mcp.Tool(
        "b.c-d_E",
        SCHEMA,
        title="B",
        description="Does b.",
        output_schema={"type": "object", "properties": {"result": {"type": "array", "items": {}}}},
        annotations=mcp.ToolAnnotations("B!", True, False, True, False),
        icons=[ICON],
        meta={mcp.TIMEOUT_KEY: 500},
    ),
    mcp.Tool("c", SCHEMA, annotations=mcp.ToolAnnotations(read_only_hint=False)),
]
MESSAGES: list[tuple[msgspec.Struct, type]] = [
    *CONTENT,
    *((tool, models.Tool) for tool in TOOLS),
    (mcp.CallToolResult([]), models.CallToolResult),
    (mcp.CallToolResult([mcp.TextContent("no")], is_error=True), models.CallToolResult),
    (
        mcp.CallToolResult(
            [block for block, _ in CONTENT],
            structured_content=Raw(b'{"result":[1,2.5,null]}'),
            meta=Raw(b'{"longreach/region":"eu"}'),
        ),
        models.CallToolResult,
    ),
    (mcp.ListToolsResult([], 0, "private"), models.ListToolsResult),
    (mcp.ListToolsResult(TOOLS, 12_000, "public", "b", {"x": 1}), models.ListToolsResult),
    (
        mcp.DiscoverResult(["2026-07-28"], mcp.ServerCapabilities(), 0, "private"),
        models.DiscoverResult,
    ),
    (
        mcp.DiscoverResult(
            ["2026-07-28"],
            mcp.ServerCapabilities(
                mcp.ListCapability(list_changed=True), {}, {"x": {}}, {"io.modelcontextprotocol/tasks": {}}
            ),
            12_000,
            "public",
            "Ask.",
            {mcp.SERVER_INFO_KEY: {"name": "docs", "version": "1"}},
        ),
        models.DiscoverResult,
    ),
    (mcp.Implementation("docs", "1.0"), models.Implementation),
    (
        mcp.Implementation("docs", "1.0", "Documents", "Reads.", [ICON], "https://example.org"),
        models.Implementation,
    ),
    (mcp.ServerCapabilities(mcp.ListCapability()), models.ServerCapabilities),
]


@pytest.mark.parametrize(("message", "model"), MESSAGES, ids=[type(m).__name__ for m, _ in MESSAGES])
def test_what_is_emitted_is_mcp(message: msgspec.Struct, model: Any):
    agree(msgspec.json.encode(message), model)


@pytest.mark.parametrize(("message", "model"), MESSAGES, ids=[type(m).__name__ for m, _ in MESSAGES])
def test_what_the_oracle_says_is_read(message: msgspec.Struct, model: Any):
    data = msgspec.json.encode(message)
    theirs = agree(data, model).model_dump_json(by_alias=True, exclude_unset=True).encode()
    again = msgspec.json.encode(msgspec.json.decode(theirs, type=type(message)))
    assert json.loads(again) == json.loads(data)


@pytest.mark.parametrize(("block", "model"), CONTENT, ids=[type(b).__name__ for b, _ in CONTENT])
def test_content_is_known_by_its_type(block: mcp.ContentBlock, model: type):
    data = msgspec.json.encode(block)
    assert msgspec.json.decode(data, type=mcp.ContentBlock) == block


def test_each_required_member_is_always_there():
    # A constant default is a required member too, and must survive the omission of defaults.
    assert json.loads(msgspec.json.encode(mcp.CallToolResult([]))) == {
        "content": [],
        "resultType": "complete",
    }
    listed = json.loads(msgspec.json.encode(mcp.ListToolsResult([], 0, "public")))
    assert listed == {"tools": [], "ttlMs": 0, "cacheScope": "public", "resultType": "complete"}


def test_a_result_of_another_type_is_recognised():
    got = msgspec.json.decode(b'{"content":[],"resultType":"task"}', type=mcp.CallToolResult)
    assert got.result_type == "task"
    assert msgspec.json.decode(b'{"content":[]}', type=mcp.CallToolResult).result_type == "complete"


def test_only_what_a_tool_states_of_itself_is_said():
    stated = mcp.ToolAnnotations(read_only_hint=False)
    assert msgspec.json.encode(stated) == b'{"readOnlyHint":false}'


@pytest.mark.parametrize("fields", [{}, {"text": "a", "blob": "YQ=="}])
def test_a_resource_has_either_text_or_blob(fields: dict[str, str]):
    with pytest.raises(ValueError, match="either text or blob"):
        mcp.ResourceContents("file:///a", **fields)
    with pytest.raises(msgspec.ValidationError, match="either text or blob"):
        msgspec.json.decode(json.dumps({"uri": "file:///a", **fields}).encode(), type=mcp.ResourceContents)


def test_the_levels_are_those_of_mcp_in_their_order():
    assert set(mcp.LOG_LEVELS) == set(get_args(mcp.LogLevel)) == set(get_args(models.LoggingLevel))
    assert mcp.LOG_LEVELS[0] == "debug"
    assert mcp.LOG_LEVELS[-1] == "emergency"  # RFC 5424, upside down


@pytest.mark.parametrize(
    "data",
    [
        mcp.encode_progress(7, 0),
        mcp.encode_progress("t", 50, 100, "half"),
        mcp.encode_progress("t", 0.5, 1.0),
        mcp.encode_progress("t", 1, 0, ""),
    ],
)
def test_progress_is_mcp(data: bytes):
    model = agree(data, models.ProgressNotification)
    assert isinstance(model, models.ProgressNotification)


def test_progress_says_what_it_was_told():
    assert json.loads(mcp.encode_progress("t", 50, 100, "half"))["params"] == {
        "progressToken": "t",
        "progress": 50,
        "total": 100,
        "message": "half",
    }


@pytest.mark.parametrize(
    ("progress", "total"), [(float("nan"), None), (float("inf"), None), (1, float("nan")), (1, float("-inf"))]
)
def test_progress_that_json_cannot_say_is_refused(progress: float, total: float | None):
    with pytest.raises(ValueError, match="finite"):
        mcp.encode_progress("t", progress, total)


@pytest.mark.parametrize("level", mcp.LOG_LEVELS)
@pytest.mark.parametrize("value", [None, "text", {"a": [1]}, 0, False])
def test_log_messages_are_mcp(level: mcp.LogLevel, value: Any):
    model = agree(mcp.encode_log(level, value, "app"), models.LoggingMessageNotification)
    assert (model.params.level, model.params.data, model.params.logger) == (level, value, "app")
    assert "logger" not in json.loads(mcp.encode_log(level, value))["params"]


def test_a_log_message_without_a_json_form_is_refused():
    with pytest.raises(TypeError):
        mcp.encode_log("info", object())
