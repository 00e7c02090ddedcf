from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from click.testing import Result

from longreach.cli.tables import table
from longreach.client.info import NodeInfo, PromptInfo, ResourceInfo, ServerInfo, TemplateInfo
from longreach.policy.catalog import Catalog
from longreach.wire.prompts import Prompt, PromptArgument
from longreach.wire.resources import Resource, ResourceTemplate

TOOL = {
    "name": "docs.extract_text_from_everything_that_there_is",
    "annotations": {"readOnlyHint": True, "destructiveHint": False},
    "versions": ["1.0.0", "2.0.0"],
    "regions": ["eu"],
    "description": "Long " * 40 + "\nsecond line",
}
NODE = {"name": "n.1", "region": "eu", "servers": ["docs"], "labels": {"a": "b"}, "skew_ms": 1500}


def test_names_are_never_cut_off_descriptions_may_be():
    lines = table("tools", [TOOL], 110)

    assert TOOL["name"] in lines[1]
    assert lines[1].endswith("…")
    assert max(map(len, lines)) == 110


def test_where_a_terminal_is_too_narrow_names_stay_whole():
    assert TOOL["name"] in table("tools", [TOOL], 20)[1]


def test_on_a_pipe_nothing_is_cut_off():
    line = table("tools", [TOOL], None)[1]

    assert line.endswith("read-only  1.0.0, 2.0.0  eu       " + ("Long " * 40).rstrip())


def test_columns_stand_below_each_other():
    head, first, second = table("nodes", [NODE, {**NODE, "name": "longer.1", "skew_ms": 20}], None)

    assert head.split() == ["name", "region", "servers", "labels", "skew"]
    assert head.index("region") == first.index("eu") == second.index("eu")
    assert first.endswith("a=b     +1.5 s")
    assert second.endswith("a=b")


def test_nobody_moves_the_cursor_of_a_terminal():
    assert "\x1b" not in table("tools", [{**TOOL, "description": "\x1b[2J"}], None)[1]


class FakeMesh:
    catalog = Catalog()
    refreshed = False
    prompt_infos: ClassVar[list[PromptInfo]] = []

    async def __aenter__(self) -> FakeMesh:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def refresh(self) -> None:
        self.refreshed = True

    async def servers(self) -> list[ServerInfo]:
        assert self.refreshed, "ls asks first, so that no dead node is shown"
        return [ServerInfo("docs", None, ("1.0.0",), ("eu",), 2, 7, 3, 1, 1)]

    async def tools(self) -> list[Any]:
        return []

    async def prompts(self) -> list[PromptInfo]:
        return self.prompt_infos

    async def resources(self) -> list[ResourceInfo]:
        return [ResourceInfo("docs", Resource("mem://a", "a", mime_type="text/plain"), ("1",), ("eu",), "d")]

    async def templates(self) -> list[TemplateInfo]:
        return [TemplateInfo("docs", ResourceTemplate("mem://{x}", "x"), ("1",), ("eu",), "d")]

    async def nodes(self) -> list[NodeInfo]:
        return [NodeInfo("n", "1", "eu", {"a": "b"}, ("docs",), 0.5, 3)]


def test_ls_asks_and_lists(longreach: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("longreach.cli.loop.open_mesh", lambda *_: FakeMesh())

    everything = longreach("ls").stdout
    one = longreach("ls", "servers").stdout

    assert [line for line in everything.splitlines() if line.isupper()] == [
        "SERVERS", "TOOLS", "RESOURCES", "NODES",
    ]  # fmt: skip
    assert "\nTOOLS\nno tools: start a node with `longreach run module:server`\n" in everything
    assert [line.split() for line in one.splitlines()] == [
        ["name", "versions", "regions", "instances", "tools", "prompts", "resources", "title"],
        ["docs", "1.0.0", "eu", "2", "7", "3", "2"],
    ]
    resources = longreach("ls", "resources").stdout.splitlines()
    assert [line.split()[:2] for line in resources] == [
        ["server", "uri"], ["docs", "mem://a"], ["docs", "mem://{x}"],
    ]  # fmt: skip
    assert longreach("ls", "prompts").stdout.startswith("no prompts:")
    assert longreach("ls", "callers").exit_code == 2


def test_prompts_are_listed_with_their_arguments(
    longreach: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
):
    prompt = Prompt("greet", arguments=[PromptArgument("who"), PromptArgument("how")], description="Greets.")
    monkeypatch.setattr(FakeMesh, "prompt_infos", [PromptInfo("docs", prompt, ("1",), ("eu",), "d")])
    monkeypatch.setattr("longreach.cli.loop.open_mesh", lambda *_: FakeMesh())

    lines = [line.split() for line in longreach("ls", "prompts").stdout.splitlines()]

    assert lines[1] == ["docs.greet", "who,", "how", "1", "eu", "Greets."]
    (row,) = json.loads(longreach("ls", "prompts", "--json").stdout)
    assert (row["name"], row["arguments"], row["digest"]) == ("docs.greet", ["who", "how"], "d")
    everything = json.loads(longreach("ls", "--json").stdout)
    assert list(everything) == ["servers", "tools", "prompts", "resources", "nodes"]
    assert [row["template"] for row in everything["resources"]] == [False, True]
