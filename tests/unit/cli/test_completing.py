from __future__ import annotations

from typing import Any

import click
import pytest

from longreach.cli.app import app
from longreach.cli.call import call
from longreach.cli.completing import (
    complete_name,
    complete_node,
    complete_prompt,
    complete_server,
    complete_tool,
    complete_uri,
)
from longreach.client.info import NodeInfo, PromptInfo, ResourceInfo, ServerInfo, ToolInfo
from longreach.errors import BrokerUnavailable
from longreach.wire.mcp import Tool
from longreach.wire.prompts import Prompt
from longreach.wire.resources import Resource


class FakeMesh:
    async def __aenter__(self) -> FakeMesh:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def tools(self) -> list[ToolInfo]:
        return [ToolInfo("docs", Tool(name, {}), (), (), "") for name in ("get", "put")]

    async def prompts(self) -> list[PromptInfo]:
        return [PromptInfo("docs", Prompt("greet"), (), (), "")]

    async def resources(self) -> list[ResourceInfo]:
        return [ResourceInfo(server, Resource("mem://a", "a"), (), (), "") for server in ("docs", "mail")]

    async def servers(self) -> list[ServerInfo]:
        return [ServerInfo("docs", None, (), (), 1, 2)]

    async def nodes(self) -> list[NodeInfo]:
        return [NodeInfo("n", "1", "eu", {}, (), 0.0, 0)]


@pytest.fixture
def context() -> click.Context:
    return click.Context(call, parent=click.Context(app))


def _values(items: list[Any]) -> list[str]:
    return [item.value for item in items]


def test_names_that_are_up_complete(context: click.Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("longreach.cli.loop.open_mesh", lambda flags, wait_s: FakeMesh())
    parameter = call.params[0]

    assert _values(complete_tool(context, parameter, "docs.")) == ["docs.get", "docs.put"]
    assert _values(complete_tool(context, parameter, "docs.g")) == ["docs.get"]
    assert _values(complete_node(context, parameter, "")) == ["n.1"]
    assert _values(complete_prompt(context, parameter, "d")) == ["docs.greet"]
    assert _values(complete_name(context, parameter, "docs.g")) == ["docs.get", "docs.greet"]
    assert _values(complete_name(context, parameter, "do")) == ["docs.get", "docs.put", "docs.greet", "docs"]
    assert _values(complete_server(context, parameter, "x")) == []
    context.params["server"] = "mail"
    assert _values(complete_uri(context, parameter, "mem:")) == ["mem://a"]


def test_without_a_mesh_nothing_completes_and_nobody_complains(
    context: click.Context, monkeypatch: pytest.MonkeyPatch
):
    def refuse(flags: Any, wait_s: float) -> FakeMesh:
        assert wait_s < 1, "somebody waits at a prompt"
        raise BrokerUnavailable("none")

    monkeypatch.setattr("longreach.cli.loop.open_mesh", refuse)

    assert complete_tool(context, call.params[0], "") == []
