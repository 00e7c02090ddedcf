"""Where a request goes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.fronts import StringMesh, bundle, prompt, request, resource, template, tool

from longreach.front import addressing
from longreach.front.addressing import find_completed, find_named, find_resource
from longreach.front.endings import Refused
from longreach.front.filters import Filters
from longreach.front.naming import offered_name
from longreach.front.offering import Offering, build_offering
from longreach.wire import codes
from longreach.wire.jsonrpc import Malformed

ALL = Filters()


def mesh() -> StringMesh:
    mesh = StringMesh()
    mesh.up(
        bundle(
            "docs", tools=[tool("echo"), tool("fs.read", _meta={"longreach/tags": ["fs"]})],
            prompts=[prompt("ask")],
            resources=[resource("file:///a", _meta={"longreach/tags": ["fs"]}), resource("file:///b")],
            templates=[template("t://{id}/x", _meta={"longreach/tags": ["fs"]})], completions=True,
        )
    )  # fmt: skip
    mesh.up(bundle("slow", tools=[tool("x")]), server="slow", fetched=False)
    return mesh


def offering(server: str | None = None, filters: Filters = ALL) -> Offering:
    return build_offering(mesh().catalog, filters, server=server)


def refused(find: Any, *args: Any) -> str:
    with pytest.raises(Refused) as caught:
        find(*args)
    assert caught.value.code == codes.INVALID_PARAMS
    return str(caught.value)


def test_a_name_of_the_whole_mesh_becomes_its_servers_own() -> None:
    name = offered_name("docs", "fs.read")
    found = find_named(offering(), "tools", request("tools/call", name=name, arguments={"a": 1}), None, ALL)

    assert (found.server, found.name) == ("docs", "fs.read")
    params = json.loads(found.data)["params"]
    assert (params["name"], params["arguments"]) == ("fs.read", {"a": 1})


def test_one_servers_requests_keep_their_bytes() -> None:
    asked = request("prompts/get", name="ask")

    assert find_named(offering("docs"), "prompts", asked, "docs", ALL) == ("docs", "ask", asked.data)


def test_what_is_not_fetched_yet_is_asked_for_all_the_same() -> None:
    found = find_named(offering(), "tools", request("tools/call", name="slow__x"), None, ALL)
    assert (found.server, found.name) == ("slow", "x")

    found = find_named(offering("slow"), "tools", request("tools/call", name="x"), "slow", ALL)
    assert (found.server, found.name) == ("slow", "x")

    found = find_named(offering("absent"), "tools", request("tools/call", name="x"), "absent", ALL)
    assert (found.server, found.name) == ("absent", "x")  # the mesh says why it cannot be reached


@pytest.mark.parametrize("name", ["echo", "docs__nope", "nobody__echo", "", "a" * 5000])
def test_an_unknown_name_is_refused(name: str) -> None:
    text = refused(find_named, offering(), "tools", request("tools/call", name=name), None, ALL)

    assert "there is no tool" in text
    assert len(text) < 300


def test_without_a_name_it_is_refused() -> None:
    refused(find_named, offering(), "tools", request("tools/call"), None, ALL)
    refused(find_resource, offering(), request("resources/read"), None, ALL)
    refused(find_completed, offering(), request("completion/complete", ref={"type": "ref/prompt"}), None, ALL)


def test_filters_refuse_what_they_hide() -> None:
    only = Filters.of(servers=["docs"])
    refused(find_named, offering(None, only), "tools", request("tools/call", name="slow__x"), None, only)
    tags = Filters.of(tags=["fs"])
    hidden = offering(None, tags)
    refused(find_named, hidden, "tools", request("tools/call", name="docs__echo"), None, tags)
    refused(find_named, hidden, "tools", request("tools/call", name="slow__x"), None, tags)


def test_resources_are_read_where_their_uri_says() -> None:
    asked = request("resources/read", uri="longreach://docs/file:///never-listed")
    found = find_resource(offering(), asked, None, ALL)

    assert (found.server, found.name) == ("docs", "file:///never-listed")
    assert json.loads(found.data)["params"]["uri"] == "file:///never-listed"
    own = request("resources/read", uri="file:///a")
    assert find_resource(offering("docs"), own, "docs", ALL) == ("docs", "file:///a", own.data)


@pytest.mark.parametrize(
    "uri", ["file:///a", "longreach://nobody/file:///a", "longreach://docs", "longreach://"]
)
def test_a_uri_of_no_server_is_refused(uri: str) -> None:
    refused(find_resource, offering(), request("resources/read", uri=uri), None, ALL)


def test_tags_hide_resources_that_are_neither_listed_nor_of_a_listed_template() -> None:
    tags = Filters.of(tags=["fs"])
    shown = offering("docs", tags)

    for uri in ("file:///a", "t://5/x"):
        assert find_resource(shown, request("resources/read", uri=uri), "docs", tags).name == uri
    for uri in ("file:///b", "t://5/y", "file:///c"):
        refused(find_resource, shown, request("resources/read", uri=uri), "docs", tags)


@pytest.mark.parametrize(
    ("pattern", "uri", "fits"),
    [
        ("a://x", "a://x", True),
        ("a://x", "a://xy", False),
        ("a://{x}", "a://", True),
        ("a://{x}/b{y}c", "a://1/b2c", True),
        ("a://{x}/b{y}c", "a://1/bc", True),
        ("a://{x}/b{y}c", "a://1/c", False),
        ("a{x}aa", "aa", False),
        ("{x}-{y}-{z}", "1-2", False),
        ("{x}-{y}-{z}", "--", True),
    ],
)
def test_a_uri_may_be_of_a_template(pattern: str, uri: str, fits: bool) -> None:
    assert addressing._may_be_of(pattern, uri) is fits


def complete(**ref: Any) -> Any:
    return request("completion/complete", ref=ref, argument={"name": "a", "value": "x"})


def test_completion_goes_to_whose_prompt_or_template_it_is() -> None:
    found = find_completed(offering(), complete(type="ref/prompt", name="docs__ask", title="T"), None, ALL)
    assert (found.server, found.name) == ("docs", None)
    assert json.loads(found.data)["params"]["ref"] == {"type": "ref/prompt", "name": "ask", "title": "T"}

    found = find_completed(
        offering(), complete(type="ref/resource", uri="longreach://docs/t://{id}/x"), None, ALL
    )
    assert json.loads(found.data)["params"]["ref"]["uri"] == "t://{id}/x"

    own = complete(type="ref/prompt", name="whatever")
    assert find_completed(offering("docs"), own, "docs", ALL) == ("docs", None, own.data)


def test_completion_of_what_is_not_there_is_refused() -> None:
    refused(find_completed, offering(), complete(type="ref/prompt", name="docs__nope"), None, ALL)
    refused(find_completed, offering(), complete(type="ref/resource", uri="t://{id}/x"), None, ALL)
    tags = Filters.of(tags=["fs"])
    refused(find_completed, offering("docs", tags), complete(type="ref/prompt", name="ask"), "docs", tags)
    with pytest.raises(Malformed):
        find_completed(offering(), complete(type="ref/else"), None, ALL)
