"""Listings of servers that are private: asked of a node for each caller, kept for a while, never leaked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.fronts import Forwarded, StringMesh, bundle, request, tool

from longreach import errors
from longreach.front import Front
from longreach.front import personal as personal_module
from longreach.front.personal import MAX_KEPT
from longreach.wire.jsonrpc import encode_error, encode_result

MAY = {"alice": ["audit", "pay"], "bob": ["pay"]}


class User:
    """The claims of a user."""

    def __init__(self, key: str) -> None:
        self.key = key

    def headers(self, server: str) -> dict[str, str]:
        return {"Lr-Claims": f"{self.key} at {server}"}


def answer(sent: Forwarded) -> bytes:
    """A node of `bank` lists what the caller may use, one item a page."""
    if sent.method != "tools/list":
        return encode_result(1, b'{"content":[],"resultType":"complete"}')
    names = MAY.get(str(sent.how["caller"]), [])
    at = int(sent.params.get("cursor", 0))
    page: dict[str, Any] = {"tools": [{"name": name} for name in names[at : at + 1]]}
    if at + 1 < len(names):
        page["nextCursor"] = str(at + 1)
    return encode_result(1, page)


@pytest.fixture
def mesh() -> StringMesh:
    mesh = StringMesh()
    tools = [tool("audit", "Look at books."), tool("pay", "Pay a bill."), tool("print", "Print money.")]
    mesh.up(bundle("bank", tools=tools, cache_scope="private"), server="bank")
    mesh.up(bundle("docs", tools=[tool("echo", "Print a text.")]))
    mesh.answer = answer
    return mesh


async def listed(front: Front, caller: str | None, claims: User | None = None) -> list[str]:
    answered = await front.handle(request("tools/list"), caller=caller, claims=claims)
    result = json.loads(answered.data)["result"]
    assert result["cacheScope"] == "private"
    return [each["name"] for each in result["tools"]]


async def test_each_caller_sees_what_the_node_says_beside_what_is_public(mesh: StringMesh):
    front = Front(mesh)

    assert await listed(front, "alice") == ["bank__audit", "bank__pay", "docs__echo"]
    assert await listed(front, "bob") == ["bank__pay", "docs__echo"]
    assert await listed(front, None) == ["docs__echo"]
    assert {sent.server for sent in mesh.sent} == {"bank"}
    assert await listed(Front(mesh, server="bank"), "bob") == ["pay"]


async def test_definitions_are_the_catalog_s_so_that_a_node_cannot_add_any(mesh: StringMesh):
    mesh.answer = lambda _: encode_result(1, {"tools": [{"name": "pay"}, {"name": "invented"}]})

    assert await listed(Front(mesh), "alice") == ["bank__pay", "docs__echo"]


async def test_what_was_asked_is_kept_for_each_caller_and_its_claims(mesh: StringMesh):
    front = Front(mesh)
    for _ in range(3):
        await listed(front, "bob")
    assert len(mesh.sent) == 1

    await listed(front, "bob", User("admin"))
    await listed(front, "bob", User("admin"))
    assert len(mesh.sent) == 2
    make = mesh.sent[-1].how["headers"]
    assert make() == {"Lr-Claims": "admin at bank"}

    mesh.up(bundle("bank", tools=[tool("pay")], cache_scope="private"), server="bank")
    await listed(front, "bob")
    assert len(mesh.sent) == 3


async def test_what_a_server_does_not_let_be_kept_is_asked_each_time(mesh: StringMesh):
    mesh.up(bundle("bank", tools=[tool("pay")], cache_scope="private", ttl_ms=0), server="bank")
    front = Front(mesh, server="bank")
    for _ in range(2):
        assert await listed(front, "bob") == ["pay"]

    assert len(mesh.sent) == 2


async def test_what_is_kept_is_bounded(mesh: StringMesh, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(personal_module, "MAX_KEPT", 10)
    front = Front(mesh)
    for number in range(50):
        await listed(front, f"caller{number}")

    assert MAX_KEPT > 10
    assert len(front._personal._kept) == 10


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: (_ for _ in ()).throw(errors.NotFound("gone")),
        lambda _: encode_error(1, -31913, "no"),
        lambda _: b"{}",
        lambda _: encode_result(1, {"tools": 7}),
        lambda _: encode_result(1, {"tools": [{"nom": "x"}]}),
        lambda _: encode_result(1, {"tools": [], "nextCursor": "again"}),
    ],
)
async def test_a_server_that_cannot_be_asked_shows_nothing_and_empties_no_other_list(
    mesh: StringMesh, broken: Any
):
    mesh.answer = broken

    assert await listed(Front(mesh), "alice") == ["docs__echo"]


async def test_a_search_finds_only_what_its_caller_may_see(mesh: StringMesh):
    front = Front(mesh, search_above=1)
    asked = request("tools/call", name="search_tools", arguments={"query": "print", "limit": 1})

    found = {}
    for caller in ("alice", "bob"):
        answered = await front.handle(asked, caller=caller)
        found[caller] = json.loads(answered.data)["result"]["structuredContent"]["tools"]

    assert [each["name"] for each in found["alice"]] == ["docs__echo"]
    assert b"money" not in answered.data


async def test_claims_go_with_each_request_to_the_server_that_it_is_for(mesh: StringMesh):
    front = Front(mesh)
    await front.handle(request("tools/call", name="docs__echo"), caller="bob", claims=User("k"))
    [sent] = mesh.sent

    assert sent.how["headers"]() == {"Lr-Claims": "k at docs"}
