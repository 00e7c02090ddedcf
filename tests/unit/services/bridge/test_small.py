"""Names, interest, mirrored headers, and what is kept on the shelf."""

from __future__ import annotations

from typing import Any

import pytest

from longreach import Server
from longreach.wire.names import check_server_name
from longreach_bridge.foreign.mapping import encoded
from longreach_bridge.interest import Interest
from longreach_bridge.mirrors import mirrored_headers
from longreach_bridge.naming import server_name
from longreach_bridge.shelf import Shelf


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("docs", "docs"),
        ("My Docs (beta)", "My-Docs-beta"),
        ("@scope/pkg", "scope-pkg"),
        ("io.github.x", "io-github-x"),
        ("", "server"),
        ("_", "server"),
        ("日本", "server"),
        ("a" * 80, "a" * 64),
    ],
)
def test_names_are_made_valid(text: str, name: str) -> None:
    assert check_server_name(server_name(text)) == name


def test_what_is_read_is_followed_and_the_oldest_forgotten() -> None:
    interest = Interest()
    interest.listed(["a"])

    assert not interest.read("a")
    assert interest.read("b")
    assert not interest.read("b")
    for number in range(600):
        interest.read(f"x{number}")

    assert "b" not in interest.uris
    assert {"a", "x599"} <= interest.uris
    assert len(interest.uris) <= 1_024


def test_headers_repeat_names_uris_and_marked_arguments() -> None:
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    params = {"name": encoded("t"), "arguments": encoded({"region": "eu", "other": 1})}

    headers = mirrored_headers("tools/call", params, lambda name: schema if name == "t" else None)
    read = mirrored_headers("resources/read", {"uri": encoded("note://ü")}, lambda _: None)

    assert headers == {"mcp-name": "t", "Mcp-Param-Region": "eu"} | {
        key: value for key, value in headers.items() if key.lower() == "mcp-param-region"
    }
    assert read["mcp-name"].startswith("=?base64?")
    assert mirrored_headers("tools/list", {}, lambda _: None) == {}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


async def _never(request: Any) -> bytes:
    raise AssertionError


def test_the_shelf_holds_what_is_listed_and_nothing_else() -> None:
    server = Server("docs")
    shelf = Shelf(server, _never)
    changes: list[str] = []
    server.on_change(lambda changed: changes.append(changed.name))

    assert shelf.put("tool", [tool("a"), tool("b"), {"name": "no schema"}])
    assert sorted(server.tools) == ["a", "b"]
    count = len(changes)
    assert not shelf.put("tool", [tool("a"), tool("b"), {"name": "no schema"}])
    assert len(changes) == count, "the same again changes nothing"
    assert shelf.put("tool", [tool("b", title="B")])
    assert sorted(server.tools) == ["b"]
    assert shelf.put("resource", [{"uri": "note://a", "name": "a"}])
    assert len(shelf) == 2
