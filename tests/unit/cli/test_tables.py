from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from longreach.cli.tables import table
from longreach.client.info import NodeInfo, ServerInfo

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
    refreshed = False

    async def __aenter__(self) -> FakeMesh:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def refresh(self) -> None:
        self.refreshed = True

    async def servers(self) -> list[ServerInfo]:
        assert self.refreshed, "ls asks first, so that no dead node is shown"
        return [ServerInfo("docs", None, ("1.0.0",), ("eu",), 2, 7)]

    async def tools(self) -> list[Any]:
        return []

    async def nodes(self) -> list[NodeInfo]:
        return [NodeInfo("n", "1", "eu", {"a": "b"}, ("docs",), 0.5, 3)]


def test_ls_asks_and_lists(longreach: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("longreach.cli.loop.open_mesh", lambda flags: FakeMesh())

    everything = longreach("ls").stdout
    one = longreach("ls", "servers").stdout

    assert [line for line in everything.splitlines() if line.isupper()] == ["SERVERS", "TOOLS", "NODES"]
    assert "\nTOOLS\nno tools: start a node with `longreach run module:server`\n" in everything
    assert [line.split() for line in one.splitlines()] == [
        ["name", "versions", "regions", "instances", "tools", "title"],
        ["docs", "1.0.0", "eu", "2", "7"],
    ]
    assert longreach("ls", "callers").exit_code == 2
