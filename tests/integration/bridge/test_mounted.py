"""`longreach run` with servers of the official SDK and of FastMCP, as they are."""

from __future__ import annotations

import json
import sys

import pytest
from tests.support.commands import Desk

OFFICIAL = '''
from mcp.server.mcpserver import MCPServer

app = MCPServer("Official docs", version="2.1.0")


@app.tool()
async def add(a: int, b: int) -> int:
    """Adds two."""
    return a + b
'''
FAST = '''
from fastmcp import FastMCP

app = FastMCP("fast", version="1.0.0")


@app.tool
async def add(a: int, b: int) -> int:
    """Adds two."""
    return a + b
'''


def test_both_are_hosted_by_one_node(desk: Desk) -> None:
    desk.write("official_app.py", OFFICIAL)
    desk.write("fast_app.py", FAST)
    node = desk.node("official_app.py", "fast_app:app")
    node.until("  try")

    for server in ("Official-docs", "fast"):
        called = json.loads(desk.longreach("call", f"{server}.add", "a=1", "b=2", "--json").stdout)
        assert called["structuredContent"] == {"result": 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            OFFICIAL + "other = MCPServer('other')\n",
            "holds 2 servers; write lr_app:NAME; its servers are app, other",
        ),
        ("app = 3\n", "holds no servers"),
    ],
)
def test_what_cannot_be_told_is_said(desk: Desk, text: str, words: str) -> None:
    desk.write("lr_app.py", text)

    said = desk.longreach("run", "lr_app")

    assert said.returncode == 2
    assert words in said.stderr


def test_without_the_extra_it_says_what_to_install(desk: Desk) -> None:
    desk.write("lr_app.py", OFFICIAL)
    # A folder that comes first on the path, and hides the SDK.
    hidden = desk.folder / "hidden" / "mcp"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'mcp'\", name='mcp')\n")
    path = f"{hidden.parent}:{desk.environment['PYTHONPATH']}"

    said = desk.longreach("run", "lr_app:app", PYTHONPATH=path)

    assert said.returncode == 2
    assert "longreach[bridge]" in said.stderr
    assert sys.executable
