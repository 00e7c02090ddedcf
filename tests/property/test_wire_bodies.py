"""JSON-RPC, MCP, frames and manifests: round trips, the oracle, and what garbage does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET
from tests.support.oracle import agree, models

from longreach.wire import frames, jsonrpc, mcp
from longreach.wire.digest import digest
from longreach.wire.manifest import build_bundle, decode_manifest, decode_tool

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
ids = st.integers() | texts
unset = st.just(UNSET)
meta = unset | st.dictionaries(texts, json_values, max_size=2).map(
    lambda m: {k: v for k, v in m.items() if not k.startswith("io.modelcontextprotocol/")}
)
annotations = unset | st.builds(
    mcp.Annotations,
    unset | st.lists(st.sampled_from(["user", "assistant"]), max_size=2),
    unset | st.floats(0, 1),
    unset | texts,
)
icons = unset | st.lists(
    st.builds(mcp.Icon, texts, unset | texts, unset | st.lists(texts, max_size=2)), max_size=2
)
optional = unset | texts
blocks = st.one_of(
    st.builds(mcp.TextContent, texts, annotations, meta),
    st.builds(mcp.ImageContent, texts, texts, annotations, meta),
    st.builds(mcp.AudioContent, texts, texts, annotations, meta),
    st.builds(
        mcp.ResourceLink, texts, texts, optional, optional, optional, unset | st.integers(0, 2**53), icons,
        annotations, meta,
    ),
    st.builds(
        mcp.EmbeddedResource,
        st.builds(mcp.ResourceContents, texts, optional, text=texts, meta=meta)
        | st.builds(mcp.ResourceContents, texts, optional, blob=texts, meta=meta),
        annotations,
        meta,
    ),
)  # fmt: skip
hint = unset | st.booleans()
tools = st.builds(
    mcp.Tool,
    name=texts,
    input_schema=st.dictionaries(texts.filter(lambda t: t != "$schema"), json_values, max_size=3).map(
        lambda s: {**s, "type": "object"}
    ),
    title=optional,
    description=optional,
    annotations=unset | st.builds(mcp.ToolAnnotations, optional, hint, hint, hint, hint),
    icons=icons,
    meta=meta,
)


@given(
    ids,
    st.lists(blocks, max_size=4),
    unset | json_values.map(msgspec.json.encode).map(msgspec.Raw),
    st.booleans(),
    meta,
)
def test_every_result_of_a_call_is_mcp_and_is_read_back(
    request_id: int | str, content: list[Any], structured: Any, is_error: bool, about: Any
):
    result = mcp.CallToolResult(content, structured, is_error, about)
    data = jsonrpc.encode_result(request_id, result)
    agree(data, models.CallToolResultResponse)
    response = jsonrpc.decode_response(data)
    assert response.id == request_id
    again = msgspec.json.decode(response.result, type=mcp.CallToolResult)
    assert again.content == content
    assert json.loads(msgspec.json.encode(again)) == json.loads(msgspec.json.encode(result))


@given(
    st.lists(tools, max_size=3), st.integers(0, 2**53), st.sampled_from(["public", "private"]), optional, meta
)
def test_every_listing_is_mcp_and_is_read_back(
    listed: list[mcp.Tool], ttl_ms: int, scope: Any, cursor: Any, about: Any
):
    result = mcp.ListToolsResult(listed, ttl_ms, scope, cursor, about)
    data = msgspec.json.encode(result)
    agree(data, models.ListToolsResult)
    assert msgspec.json.decode(data, type=mcp.ListToolsResult) == result


@given(
    ids, st.floats(allow_nan=False, allow_infinity=False), st.none() | st.floats(0, 1e300), st.none() | texts
)
def test_every_progress_is_mcp(token: int | str, progress: float, total: float | None, message: str | None):
    model = agree(mcp.encode_progress(token, progress, total, message), models.ProgressNotification)
    params = model.params
    assert (params.progress_token, params.progress, params.total, params.message) == (
        token,
        progress,
        total,
        message,
    )


@given(ids | st.none(), st.integers(-40_000, 40_000), st.text(), json_values)
def test_every_error_is_mcp_and_is_read_back(request_id: Any, code: int, message: str, detail: Any):
    data = jsonrpc.encode_error(request_id, code, message, detail)
    agree(data, models.JSONRPCErrorResponse)
    error = jsonrpc.decode_response(data).error
    assert error is not UNSET
    assert (error.code, error.data) == (code, UNSET if detail is None else detail)
    assert jsonrpc.not_started(jsonrpc.strip_reserved(error)) is None  # M5.2


@given(json_values)
def test_what_a_refusal_carries_never_fails(detail: Any):
    got = jsonrpc.not_started(jsonrpc.RpcError(-31900, "", detail))
    assert got is not None
    assert got[0] in {"busy", "expired", "draining", "not_here", "crashed"}
    assert got[1] is None or 0 <= got[1] <= 86_400


CALL = (
    b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"a":"\xc3\xa9"},'
    b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}'
)
ANNOUNCEMENT = msgspec.json.encode(frames.Announcement("d", "1", "x", "eu", "n", "i", "up", 1, 2, {"a": "b"}))
SEEDS = (
    CALL,
    jsonrpc.encode_error(1, 2, "x", {"a": 1}),
    ANNOUNCEMENT,
    b'{"calls":["1-0-f"]}',
    b'{"blobs":[1,{}]}',
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message of ours in which a stretch of bytes was replaced by others."""
    data = draw(st.sampled_from(SEEDS))
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 8)))
    return (
        data[:start]
        + draw(st.binary(max_size=8) | st.sampled_from(list(b'{}[]":,0')).map(lambda byte: bytes([byte])))
        + data[end:]
    )


garbage = st.binary(max_size=60) | damaged() | json_values.map(msgspec.json.encode)
DECODERS = (jsonrpc.decode_call, jsonrpc.decode_request, jsonrpc.decode_response, jsonrpc.decode_notification)
KINDS = (
    frames.Accepted, frames.AliveRequest, frames.AliveReply, frames.WhoseRequest, frames.WhoseReply,
    frames.CancelRequest, frames.BlobsRequest, frames.BlobsReply, frames.Announcement, frames.WhoReply,
    frames.InfoReply, frames.DrainReply,
)  # fmt: skip


@given(garbage)
@example(b"[" * 10_000)
@example(b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b"}")
def test_garbage_is_malformed_and_nothing_else(data: bytes):
    for decode in DECODERS:
        refused = refusal(decode, data)
        if refused is not None:
            assert refused.code in (-32700, -32600, -32602)
            agree(jsonrpc.encode_error(refused.id, refused.code, str(refused)), models.JSONRPCErrorResponse)


def refusal(decode: Callable[[bytes], object], data: bytes) -> jsonrpc.Malformed | None:
    """What `decode` refuses `data` with; None if it takes it."""
    try:
        decode(data)
    except jsonrpc.Malformed as error:
        return error
    return None


@given(garbage)
@example(b"[" * 10_000)
@example(b'{"x":' * 10_000)
@example(b'{"announcements":[{"clockMs":' + b"9" * 5000 + b"}]}")
def test_garbage_is_no_frame_and_no_manifest(data: bytes):
    for kind in KINDS:
        try:
            body = frames.decode(data, kind)
        except msgspec.DecodeError:
            continue
        assert frames.decode(msgspec.json.encode(body), kind) == body or kind is frames.BlobsReply
    for decode in (decode_manifest, decode_tool):
        try:
            decode(data)
        except msgspec.DecodeError:
            continue


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
counts = st.integers(0, 2**53 - 1)


@given(
    st.builds(
        frames.Announcement, names, texts, texts, names, names, names, st.sampled_from(["up", "down"]),
        counts, counts, st.dictionaries(texts, texts, max_size=3),
    )
    | st.builds(frames.Accepted, names, names, names)
    | st.builds(frames.AliveReply, names, names, st.lists(texts), counts)
    | st.builds(frames.WhoseReply, names, names, names, st.lists(texts), st.lists(texts), counts)
    | st.builds(frames.CancelRequest, st.lists(texts), st.none() | texts)
)  # fmt: skip
def test_frames_are_read_back(body: msgspec.Struct):
    assert frames.decode(msgspec.json.encode(body), type(body)) == body


@given(st.dictionaries(texts, json_values, min_size=1, max_size=6), st.data())
def test_blobs_come_whole_in_as_many_messages_as_it_takes(
    values: dict[str, Any], data: st.DataObject
):  # M8.5
    # With spaces, so that only bytes that nobody touched have the same digest.
    blobs = {digest(raw): raw for raw in (json.dumps([k, v], indent=1).encode() for k, v in values.items())}
    wanted = data.draw(st.permutations([*blobs, "absent"]))
    max_bytes = data.draw(st.integers(1, 600))
    got: dict[str, bytes] = {}
    left = list(wanted)
    for _ in range(len(wanted)):
        message, sent = frames.pack_blobs(blobs, left, max_bytes)
        reply = frames.decode(message, frames.BlobsReply)
        assert reply.missing == ["absent"] * (len(left) > 0 and "absent" in left)
        assert list(frames.by_digest(reply)) == sent
        assert len(message) <= max_bytes or len(sent) <= 1
        got |= frames.by_digest(reply)
        left = [name for name in left if name not in got]
    assert got == blobs


@given(st.lists(tools, max_size=5, unique_by=lambda tool: tool.name))
def test_a_bundle_holds_every_tool_by_the_digest_of_its_bytes(listed: list[mcp.Tool]):  # M8.4
    bundle = build_bundle("docs", "1.0", title=None, instructions=None, tools=listed)
    manifest = decode_manifest(bundle.manifest)
    assert bundle.digest == digest(bundle.manifest)
    assert [decode_tool(bundle.blobs[name]) for name in manifest.tools] == sorted(
        listed, key=lambda t: t.name
    )
    assert build_bundle("docs", "1.0", title=None, instructions=None, tools=reversed(listed)) == bundle


@given(st.lists(st.binary(max_size=30), unique=True, max_size=10))
def test_different_bytes_have_different_digests(data: list[bytes]):
    assert len({digest(item) for item in data}) == len(data)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_object_is_refused_or_means_something(kind: type[msgspec.Struct]):
    required = [field.name for field in msgspec.structs.fields(kind) if field.required]
    if required:
        with pytest.raises(msgspec.DecodeError, match="missing required field"):
            frames.decode(b"{}", kind)
    else:
        assert frames.decode(b"{}", kind) == kind()
