"""Two tools in place of too many."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.fronts import StringMesh, bundle, request, tool
from tests.support.oracle import agree, models

from longreach.front import toolsearch
from longreach.front.filters import Filters
from longreach.front.offering import Offering, build_offering
from longreach.front.toolsearch import BadArguments, ToolSearch, find_called


def offering(mesh: StringMesh | None = None, before: Offering | None = None) -> Offering:
    if mesh is None:
        mesh = StringMesh()
        mesh.up(bundle("docs", tools=[tool("read_page", "Read a page."), tool("fs.write", "Write a file.")]))
    return build_offering(mesh.catalog, Filters(), before=before)


async def search(**arguments: Any) -> dict[str, Any]:
    asked = request("tools/call", name="search_tools", arguments=arguments)
    result: dict[str, Any] = json.loads(await ToolSearch().search(offering(), asked.data))
    return result


@pytest.mark.parametrize("item", toolsearch.OFFERED, ids=lambda item: item.name)
def test_both_are_tools_as_mcp_has_them(item: Any) -> None:
    agree(item.data, models.Tool)


async def test_a_search_returns_whole_definitions_for_models_and_for_programs() -> None:
    result = await search(query="read pages")

    definitions = result["structuredContent"]["tools"]
    assert [definition["name"] for definition in definitions] == ["docs__read_page"]
    assert definitions[0]["inputSchema"] == {"type": "object"}
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    agree(json.dumps(result).encode(), models.CallToolResult)


async def test_a_search_without_a_fit_says_what_to_do() -> None:
    result = await search(query="quantum")

    assert result["structuredContent"] == {"tools": []}
    assert "try other words" in result["content"][0]["text"]


async def test_the_limit_holds() -> None:
    assert len((await search(query="read write page file", limit=1))["structuredContent"]["tools"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"query": 1},
        {"query": "x" * 1001},
        {"query": "x", "limit": 0},
        {"query": "x", "limit": 51},
        {"q": "x"},
    ],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: dict[str, Any]) -> None:
    with pytest.raises(BadArguments, match="search_tools"):
        await search(**arguments)


async def test_an_answer_is_no_larger_than_a_context_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolsearch, "MAX_BYTES", 10)

    assert len((await search(query="read write page file"))["structuredContent"]["tools"]) == 1


async def test_an_index_is_kept_and_what_has_not_changed_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    weigh = toolsearch.weigh
    monkeypatch.setattr(toolsearch, "weigh", lambda item: read.append(item.name) or weigh(item))
    mesh = StringMesh()
    mesh.up(bundle("docs", tools=[tool("a", "thing")]))
    searching, first = ToolSearch(), offering(mesh)
    asked = request("tools/call", name="search_tools", arguments={"query": "thing"}).data

    await searching.search(first, asked)
    await searching.search(first, asked)
    mesh.up(bundle("docs", tools=[tool("a", "thing"), tool("b", "thing")]))
    found = json.loads(await searching.search(offering(mesh, first), asked))

    assert read == ["a", "b"]
    assert len(found["structuredContent"]["tools"]) == 2


async def test_others_have_their_turn_while_an_index_is_made() -> None:
    mesh = StringMesh()
    mesh.up(bundle("docs", tools=[tool(f"t{n}", "thing") for n in range(200)]))
    searching, shown = ToolSearch(), offering(mesh)
    asked = request("tools/call", name="search_tools", arguments={"query": "thing"}).data
    turns = 0

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(searching.search(shown, asked)) for _ in range(3)]
        while not all(task.done() for task in tasks):
            turns += 1
            await asyncio.sleep(0)

    assert turns >= 10
    assert len({task.result() for task in tasks}) == 1


def test_a_call_is_the_same_request_for_the_tool_itself() -> None:
    name = next(item.offered for item in offering().lists["tools"] if item.name == "fs.write")
    asked = request(
        "tools/call", 9, name="call_tool", arguments={"name": name, "arguments": {"a": [1, {}]}},
        inputResponses={"k": {"action": "accept"}}, requestState="sealed",
    )  # fmt: skip

    item, data = find_called(offering(), asked.data)

    body = json.loads(data)
    assert (item.server, item.name) == ("docs", "fs.write")
    assert body["id"] == 9
    assert body["params"] == {
        "name": "fs.write", "arguments": {"a": [1, {}]}, "inputResponses": {"k": {"action": "accept"}},
        "requestState": "sealed", "_meta": json.loads(asked.data)["params"]["_meta"],
    }  # fmt: skip


def test_a_call_without_arguments_has_none() -> None:
    _, data = find_called(
        offering(), request("tools/call", name="call_tool", arguments={"name": "docs__read_page"}).data
    )

    assert json.loads(data)["params"]["arguments"] == {}


@pytest.mark.parametrize(
    "arguments",
    [{}, {"name": 1}, {"name": "docs__nope"}, {"name": "read_page"}, {"name": "docs__read_page", "x": 1}],
)
def test_a_call_of_no_tool_is_told_to_the_model(arguments: dict[str, Any]) -> None:
    with pytest.raises(BadArguments):
        find_called(offering(), request("tools/call", name="call_tool", arguments=arguments).data)


def test_the_instructions_tell_models_to_search() -> None:
    assert "2 tools are available" in toolsearch.instructions(offering(), None)
    assert toolsearch.instructions(offering(), "Own.").endswith("\n\nOwn.")
