"""Ranked text search: what people would look for, and what they should find first."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.support.fronts import StringMesh, bundle, tool
from tests.support.timing import allowed

from longreach.front.filters import Filters
from longreach.front.offering import build_offering
from longreach.front.ranking import Ranking, weigh, words_of
from longreach.front.shelf import Item


def takes(**properties: str) -> dict[str, Any]:
    described = {name: {"type": "string", "description": text} for name, text in properties.items()}
    return {"inputSchema": {"type": "object", "properties": described}}


SERVERS = {
    "github": [
        tool("create_issue", "Open a new issue in a repository.", **takes(repo="owner/name", title="")),
        tool("list_pull_requests", "List the pull requests of a repository.", **takes(repo="", state="")),
        tool("merge_pull_request", "Merge a pull request into its base branch."),
        tool("searchCode", "Search the source code of all repositories.", **takes(query="what to look for")),
        tool("get_file_contents", "Read a file from a repository.", **takes(path="", ref="branch or tag")),
    ],
    "mail": [
        tool(
            "send_email",
            "Send a message to one or more people.",
            **takes(to="addresses", subject="", body=""),
        ),
        tool("search_messages", "Find messages in the mailbox.", **takes(query="", folder="")),
        tool("create_draft", "Write a message without sending it."),
    ],
    "weather": [
        tool(
            "forecast", "The weather of the next days at a place.", **takes(city="name of the city", days="")
        ),
        tool("current", "Temperature, wind and humidity now.", **takes(latitude="", longitude="")),
    ],
    "sql": [
        tool("query", "Run a read-only SQL statement on the warehouse.", **takes(statement="")),
        tool("describe_table", "Columns and types of a table.", **takes(table="")),
    ],
    "calendar": [
        tool(
            "create_event", "Put a meeting into the calendar.", **takes(start="", attendees="email addresses")
        ),
        tool("free_busy", "When people have time for a meeting.", **takes(attendees="")),
    ],
    "nihon": [tool("tenki", "東京の天気予報を返す。")],
    "deutsch": [tool("uebersetzen", "Übersetzt einen Text ins Deutsche. Größe ist egal.")],
}


def items() -> list[Item]:
    mesh = StringMesh()
    for server, tools in SERVERS.items():
        mesh.up(bundle(server, tools=tools), server=server)
    return list(build_offering(mesh.catalog, Filters()).lists["tools"])


def ranked(listed: list[Item]) -> Ranking:
    ranking = Ranking()
    for item in listed:
        ranking.add(item, weigh(item))
    ranking.finish()
    return ranking


def search(query: str, limit: int = 5) -> list[str]:
    return [item.offered for item in ranked(items()).search(query, limit)]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("create an issue", "github__create_issue"),
        ("file a bug: open issue on github", "github__create_issue"),
        ("merge pull request", "github__merge_pull_request"),
        ("list pull requests", "github__list_pull_requests"),
        ("search source code", "github__searchCode"),
        ("read a file from a repo", "github__get_file_contents"),
        ("send mail", "mail__send_email"),
        ("send an email message to somebody", "mail__send_email"),
        ("find messages in my mailbox", "mail__search_messages"),
        ("weather forecast for a city", "weather__forecast"),
        ("temperature", "weather__current"),
        ("longitude", "weather__current"),
        ("SQL statement", "sql__query"),
        ("what columns does the table have", "sql__describe_table"),
        ("put a meeting into the calendar", "calendar__create_event"),
        ("when do attendees have time", "calendar__free_busy"),
        ("mail__create_draft", "mail__create_draft"),
        ("current", "weather__current"),
        ("searchcode", "github__searchCode"),
        ("forcast", "weather__forecast"),
        ("temp", "weather__current"),
        ("übersetzt größe", "deutsch__uebersetzen"),
        ("übersetzen", "deutsch__uebersetzen"),
        ("天気", "nihon__tenki"),
    ],
)
def test_the_best_comes_first(query: str, best: str) -> None:
    assert search(query)[0] == best


@pytest.mark.parametrize("query", ["", "   ", "the of and", "zzqx", "!?", "\x00", "🙂"])
def test_a_query_that_fits_nothing_finds_nothing(query: str) -> None:
    assert search(query) == []


def test_no_more_than_asked_for_and_always_in_the_same_order() -> None:
    assert len(search("a repository message meeting", 3)) == 3
    assert search("repository") == search("repository")


def test_a_rare_word_tells_more_than_a_common_one() -> None:
    assert search("message draft")[0] == "mail__create_draft"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("getHTTPResponse2xx", ["get", "http", "respons", "2", "xx"]),
        ("list_pull-requests", ["list", "pull", "request"]),
        ("queries query", ["quer", "quer"]),
        ("is", []),
        ("天気予報", ["天気", "気予", "予報"]),
        ("Größe", ["größ"]),
    ],
)
def test_compound_names_are_taken_apart_and_words_levelled(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_nested_parameters_and_choices_count() -> None:
    deep: dict[str, Any] = {
        "type": "object",
        "properties": {
            "filter": {"type": "object", "properties": {"postcode": {"description": "where people live"}}},
            "kinds": {"type": "array", "items": {"enum": ["invoice", 3, "receipt"]}},
        },
    }
    mesh = StringMesh()
    mesh.up(bundle("docs", tools=[tool("a", inputSchema=deep), tool("b")]))
    listed = list(build_offering(mesh.catalog, Filters()).lists["tools"])
    ranking = ranked(listed)

    for query in ("postcode", "live", "receipt"):
        assert [item.offered for item in ranking.search(query, 5)] == ["docs__a"]


@pytest.mark.parametrize(
    "odd",
    [
        {"description": 5, "title": ["x"], "annotations": 3, "inputSchema": "s"},
        {"inputSchema": {"properties": ["x"], "enum": 5, "items": [1]}},
        {"inputSchema": {"type": "object", "properties": {"a": 3, "b": {"enum": {}}}}},
    ],
)
def test_odd_definitions_are_indexed_as_far_as_they_make_sense(odd: dict[str, Any]) -> None:
    item = Item("s__odd", "s", "odd", "d", tool("odd", **odd).data)

    assert "odd" in weigh(item)


@pytest.mark.timed
def test_thousands_of_tools_are_searched_at_once() -> None:
    """A bound so wide that only a search that grows out of all proportion fails it."""
    listed = [
        Item(
            f"s__t{n}",
            f"server{n % 50}",
            f"tool_{n}",
            str(n),
            tool(f"tool_{n}", f"Does thing {n % 97}.").data,
        )
        for n in range(3000)
    ]
    ranking = ranked(listed)
    began = time.perf_counter()

    assert ranking.search("thing 13 serverx unknwon words of a long query", 10)
    assert time.perf_counter() - began < allowed(1)
