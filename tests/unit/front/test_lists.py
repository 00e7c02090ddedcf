"""Results of lists and of server/discover."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.fronts import StringMesh, bundle, prompt, resource, template, tool
from tests.support.oracle import agree, models

from longreach.front import lists
from longreach.front.filters import Filters
from longreach.front.offering import Offering, build_offering


def offering(server: str | None = None, **more: Any) -> Offering:
    mesh = StringMesh()
    mesh.up(
        bundle(
            "docs", "1.2.0", "Read before you write.", tools=[tool("echo")], prompts=[prompt("ask")],
            resources=[resource("file:///a")], templates=[template("file:///{name}")], **more,
        )
    )  # fmt: skip
    mesh.up(bundle("maths", tools=[tool("add")]), server="maths")
    return build_offering(mesh.catalog, Filters(), server=server)


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("tools", models.ListToolsResult),
        ("prompts", models.ListPromptsResult),
        ("resources", models.ListResourcesResult),
        ("templates", models.ListResourceTemplatesResult),
    ],
)
def test_each_list_is_as_mcp_has_it(kind: Any, model: Any) -> None:
    shown = offering()

    page = lists.encode_page(shown, kind, shown.lists[kind], 0, {"name": "front", "version": "1"})

    parsed = agree(page, model)
    assert (parsed.ttl_ms, parsed.cache_scope) == (5000, "public")
    assert "nextCursor" not in json.loads(page)


def test_a_page_says_where_the_next_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longreach.front.paging.PAGE_ITEMS", 1)
    shown = offering()

    page = json.loads(lists.encode_page(shown, "tools", shown.lists["tools"], 0, {}))

    assert [tool["name"] for tool in page["tools"]] == ["docs__echo"]
    assert page["nextCursor"]


def test_discover_is_as_mcp_has_it() -> None:
    data = lists.encode_discover(offering(), {"name": "front", "version": "1"}, "Hello.")

    parsed = agree(data, models.DiscoverResult)
    assert parsed.supported_versions == ["2026-07-28"]
    assert parsed.instructions == "Hello."
    assert "completions" not in json.loads(data)["capabilities"]


def test_completions_are_offered_where_a_server_completes() -> None:
    data = lists.encode_discover(offering(completions=True), {"name": "front", "version": "1"}, None)

    assert json.loads(data)["capabilities"]["completions"] == {}
    assert "instructions" not in json.loads(data)


def test_no_completion_is_as_mcp_has_it() -> None:
    agree(lists.NO_COMPLETION, models.CompleteResult)


def test_who_answers() -> None:
    assert lists.info_of(offering("docs"), "docs", "front", "9") == {"name": "docs", "version": "1.2.0"}
    assert lists.info_of(offering(), None, "front", "9") == {"name": "front", "version": "9"}
    assert lists.info_of(offering("absent"), "absent", "front", "9") == {"name": "absent", "version": "9"}


def test_instructions_are_one_servers_own_or_all_under_their_names() -> None:
    assert lists.instructions_of(offering("docs"), "docs") == "Read before you write."
    assert lists.instructions_of(offering("absent"), "absent") is None
    assert lists.instructions_of(offering(), None) == "## docs\n\nRead before you write."


def test_instructions_that_do_not_fit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_MAX_INSTRUCTIONS", 10)

    text = lists.instructions_of(offering(), None)

    assert text is not None
    assert "1 more" in text
