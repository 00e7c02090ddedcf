from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.actors import Recorder, cell_for, plain_spec

from longreach.actor.call import Call, Completed, Failed, Lost, NotStarted, RawResult
from longreach.actor.raw import CutOff, NotBegun, RawRequest, RawSpec
from longreach.actor.server import Server
from longreach.errors import ConfigError, DeclarationError, ProtocolError, ToolError
from longreach.wire.jsonrpc import CallParams

TOOL = {"name": "odd", "inputSchema": {"type": "object", "x-mcp": 1}, "later": {"b": 1, "a": 2}}


async def nothing(request: RawRequest) -> bytes:
    return b"{}"


def add(handler: Any = nothing, kind: Any = "tool", definition: Any = None, **options: Any) -> RawSpec:
    return Server("s").add_raw(kind, TOOL if definition is None else definition, handler, **options)


async def ending_of(handler: Any, kind: Any = "tool", definition: Any = None) -> Any:
    server, seen = Server("s"), Recorder()
    spec = server.add_raw(kind, definition or TOOL, handler)
    cell = cell_for(server, spec.name, kind=kind)
    await cell.start()
    try:
        data = b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"odd", "more": [1.0]}}'
        call = Call("k", 1, spec, CallParams(), data, 1e12, "_", "_", 0.0, seen)
        assert cell.offer(call) is None
        return await seen.ending("k")
    finally:
        await cell.stop()


def test_the_definition_is_kept_as_it_is_and_is_the_same_on_each_replica():
    spec = add()
    assert spec.listed is not None
    assert json.loads(spec.listed.data) == TOOL
    again = add(definition={**{k: TOOL[k] for k in reversed(TOOL)}, "later": {"a": 2, "b": 1}})
    assert again.listed == spec.listed
    assert spec.definition.input_schema == TOOL["inputSchema"]


def test_a_foreign_name_is_what_it_is():
    spec = add(definition={**TOOL, "name": "read file/ü" * 20})
    assert spec.address.startswith("tools-call.==")


def test_a_timeout_is_told_to_callers():
    spec = add(definition={**TOOL, "_meta": {"mine": 1}}, timeout_s=1.5)
    assert json.loads(spec.listed.data)["_meta"] == {"mine": 1, "longreach/timeoutMs": 1500}
    assert spec.timeout_s == 1.5


@pytest.mark.parametrize(
    ("kind", "definition"),
    [
        ("tool", {}),
        ("tool", {"name": "", "inputSchema": {}}),
        ("tool", {"name": "a"}),
        ("tool", {"name": "a", "inputSchema": {"x": object()}}),
        ("prompt", {"name": ""}),
        ("prompt", {"title": "x"}),
        ("resource", {"uri": "a:b"}),
        ("template", {"uri": "a:{b}", "name": "x"}),
    ],
)
def test_what_is_no_definition_is_refused(kind: Any, definition: Any):
    with pytest.raises(DeclarationError):
        add(kind=kind, definition=definition)


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"mailbox": -1}, {"timeout_s": 0}])
def test_sizes_and_times_are_checked(options: dict[str, Any]):
    with pytest.raises(ConfigError):
        add(**options)
    with pytest.raises(ConfigError):
        Server("s").set_raw_completion(nothing, **options)


def test_names_are_taken_once_and_can_be_taken_away():
    server = Server("s")
    server.add_raw("prompt", {"name": "ask"}, nothing)
    with pytest.raises(DeclarationError, match="prompt called 'ask'"):
        server.add_raw("prompt", {"name": "ask"}, nothing)
    server.add_raw("tool", {**TOOL, "name": "ask"}, nothing)
    server.remove_raw("prompt", "ask")
    assert list(server.handlers) == ["tool ask"]
    with pytest.raises(ConfigError, match="no prompt 'ask'"):
        server.remove_raw("prompt", "ask")


def test_there_is_one_reader_and_one_raw_completion():
    server, told = Server("s"), []
    server.on_change(lambda changed: told.append(list(changed.handlers)))
    server.set_raw_completion(nothing)
    server.set_raw_completion(nothing)
    server.set_raw_reader(nothing)
    server.set_raw_completion(None)
    server.set_raw_completion(None)
    assert told[-1] == ["reader *"]


@pytest.mark.parametrize(
    ("template", "uri", "fits"),
    [
        ("a://{x}", "a://1", True),
        ("a://{x}/end", "a://1/2/end", True),
        ("a://{x}/end", "a://1/2/en", False),
        ("a://{?q,r}", "a://?q=1", True),
        ("a{x}b{y}b", "ab", False),
        ("a{x}b{y}b", "abb", True),
        ("a://b", "a://b", True),
        ("a://b", "a://c", False),
        ("{x}", "a" * 5000, False),
    ],
)
def test_any_template_has_uris(template: str, uri: str, fits: bool):
    spec = add(kind="template", definition={"name": "t", "uriTemplate": template})
    assert spec.matches(uri) is fits


async def test_the_params_come_as_they_are_and_the_result_goes_as_it_is():
    seen: list[RawRequest] = []

    async def handler(request: RawRequest) -> bytes:
        seen.append(request)
        return b'{"a": 1}'

    assert await ending_of(handler) == Completed(RawResult(b'{"a": 1}'))
    assert (seen[0].method, seen[0].params) == ("tools/call", b'{"name":"odd", "more": [1.0]}')
    assert seen[0].context.server == "s"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ProtocolError(-32001, "no", {"x": 1}), Failed(-32001, "no", {"x": 1})),
        (NotBegun("down", reason="busy", retry_after_s=1.5), NotStarted("busy", 1500)),
        (NotBegun("down"), NotStarted("crashed")),
        (CutOff("lost"), Lost("lost")),
    ],
)
async def test_errors_of_a_raw_handler_are_endings(error: Exception, expected: Any):
    async def handler(request: RawRequest) -> bytes:
        raise error

    assert await ending_of(handler) == expected


async def test_a_failure_is_a_tool_error_or_an_error_of_the_protocol():
    async def handler(request: RawRequest) -> bytes:
        raise ToolError("not today")

    tool = await ending_of(handler)
    assert tool.result.is_error
    prompt = await ending_of(handler, "prompt", {"name": "odd"})
    assert prompt == Failed(-32603, "not today")


async def test_what_is_no_bytes_tells_the_caller_nothing():
    async def handler(request: RawRequest) -> Any:
        return {"a": 1}

    ending = await ending_of(handler)
    assert ending.result.is_error


def test_a_spec_says_what_it_is():
    assert repr(plain_spec("echo")) == "<tool s.echo>"
