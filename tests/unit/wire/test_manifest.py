from __future__ import annotations

import json

import msgspec
import pytest

from longreach.wire.digest import digest
from longreach.wire.manifest import (
    Bundle,
    Manifest,
    Offer,
    build_bundle,
    decode_manifest,
    decode_prompt,
    decode_resource,
    decode_template,
    decode_tool,
    define,
)
from longreach.wire.mcp import Tool, ToolAnnotations
from longreach.wire.prompts import Prompt
from longreach.wire.resources import Resource, ResourceTemplate


def tool(name: str, description: str = "Does it.") -> Tool:
    return Tool(name, {"type": "object"}, description=description)


def bundle(*tools: Tool, version: str = "1.0") -> Bundle:
    return build_bundle("docs", version, title="Documents", instructions=None, tools=tools)


def test_a_manifest_names_its_tools_by_digest_in_the_order_of_their_names():  # M8.4
    made = bundle(tool("b"), tool("a"))
    shown = json.loads(made.manifest)
    assert shown == {
        "server": "docs",
        "version": "1.0",
        "title": "Documents",
        "tools": shown["tools"],
        "binding": 1,
    }
    assert [json.loads(made.blobs[name])["name"] for name in shown["tools"]] == ["a", "b"]
    assert made.digest == digest(made.manifest)
    assert all(digest(data) == name for name, data in made.blobs.items())


def test_what_was_built_is_read_back():
    annotated = Tool("a", {"type": "object"}, annotations=ToolAnnotations(read_only_hint=True))
    made = build_bundle("docs", "2.0", title=None, instructions="Ask.", tools=[annotated])
    manifest = decode_manifest(made.manifest)
    assert manifest == Manifest("docs", "2.0", list(made.blobs), instructions="Ask.", binding=1)
    assert decode_tool(made.blobs[manifest.tools[0]]) == annotated


def test_everything_that_is_offered_is_named_and_read_back():
    prompt = Prompt("p", description="d")
    one, many = Resource(uri="a:b", name="r"), ResourceTemplate(uri_template="a:{b}", name="t")
    offer = Offer(
        [define(tool("a"))], [define(prompt)], [define(one)], [define(many)], completions=True, ttl_ms=5,
        cache_scope="private", tags=["x"],
    )  # fmt: skip
    made = build_bundle("docs", "1", title=None, instructions=None, offer=offer)
    manifest = decode_manifest(made.manifest)
    assert json.loads(made.manifest).keys() == {
        "server", "version", "tools", "binding", "prompts", "resources", "templates", "completions", "ttlMs",
        "cacheScope", "tags",
    }  # fmt: skip
    assert (manifest.completions, manifest.ttl_ms, manifest.cache_scope) == (True, 5, "private")
    assert decode_prompt(made.blobs[manifest.prompts[0]]) == prompt
    assert decode_resource(made.blobs[manifest.resources[0]]) == one
    assert decode_template(made.blobs[manifest.templates[0]]) == many
    assert [define(each).name for each in (one, many)] == ["a:b", "a:{b}"]


def test_the_order_of_declaration_changes_nothing():
    assert bundle(tool("a"), tool("b")) == bundle(tool("b"), tool("a"))


def test_one_changed_tool_costs_the_manifest_and_that_tool():
    before = bundle(*(tool(f"t{n}") for n in range(20)))
    after = bundle(*(tool(f"t{n}", "Does more." if n == 7 else "Does it.") for n in range(20)))
    assert before.digest != after.digest
    assert len(after.blobs.keys() - before.blobs.keys()) == 1


def test_another_version_has_another_digest_and_the_same_tools():
    one, other = bundle(tool("a")), bundle(tool("a"), version="1.1")
    assert one.digest != other.digest
    assert one.blobs == other.blobs


def test_a_server_may_have_no_tools():
    assert decode_manifest(bundle().manifest).tools == []


def test_a_blob_is_the_tool_as_tools_list_has_it():
    made = bundle(tool("a"))
    listed = msgspec.json.encode([tool("a")])
    assert b"[" + next(iter(made.blobs.values())) + b"]" == listed


def test_members_of_a_newer_binding_are_ignored():  # M11.1
    data = b'{"server":"docs","version":"1","tools":[],"binding":2,"later":["x"],"new":{}}'
    assert decode_manifest(data) == Manifest("docs", "1", [], binding=2)
    assert decode_tool(b'{"name":"a","inputSchema":{"type":"object"},"new":1}') == Tool(
        "a", {"type": "object"}
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"server":"\xff","version":"1","tools":[],"name":"\xff","inputSchema":{}}',
        b'{"tools":' + b"[" * 100_000,
        b'{"inputSchema":' + b'{"a":' * 100_000,
    ],
)
def test_garbage_raises_one_kind_of_error(data: bytes):
    with pytest.raises(msgspec.DecodeError):
        decode_manifest(data)
    for decode in (decode_tool, decode_prompt, decode_resource, decode_template):
        with pytest.raises(msgspec.DecodeError):
            decode(data)
