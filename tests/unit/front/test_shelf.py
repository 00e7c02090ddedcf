"""What one server offers, over its live versions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.fronts import StringMesh, bundle, prompt, resource, template, tool

from longreach.front.filters import Filters
from longreach.front.shelf import Shelf, build_shelf

ALL = Filters()


def shelf(
    mesh: StringMesh, *, filters: Filters = ALL, renamed: bool = True, before: Any = None
) -> Shelf | None:
    sorts = [sort for sort, _ in mesh.catalog.sorts_of("docs")]
    return build_shelf(mesh.catalog, "docs", sorts, filters, renamed=renamed, before=before)


def offered(shelf: Shelf | None, kind: Any = "tools") -> list[str]:
    assert shelf is not None
    return [item.offered for item in shelf.items[kind].values()]


def test_every_kind_is_offered_under_names_of_the_whole_mesh() -> None:
    mesh = StringMesh()
    mesh.up(
        bundle(
            "docs", tools=[tool("echo")], prompts=[prompt("ask")], resources=[resource("file:///a")],
            templates=[template("file:///{name}")],
        )
    )  # fmt: skip

    made = shelf(mesh)

    assert offered(made) == ["docs__echo"]
    assert offered(made, "prompts") == ["docs__ask"]
    assert offered(made, "resources") == ["longreach://docs/file:///a"]
    assert offered(made, "templates") == ["longreach://docs/file:///{name}"]
    assert made is not None
    assert (
        json.loads(made.items["templates"]["file:///{name}"].data)["uriTemplate"]
        == offered(made, "templates")[0]
    )


def test_a_definition_loses_nothing_but_its_name() -> None:
    mesh = StringMesh()
    definition = tool("echo", "Echo.", x_unknown={"a": [1, 2.5, None]}, _meta={"x/y": 1})
    definition = definition._replace(data=definition.data.replace(b"2.5", b"2.50"))
    mesh.up(bundle("docs", tools=[definition]))

    renamed, own = shelf(mesh), shelf(mesh, renamed=False)

    assert renamed is not None
    assert own is not None
    data = renamed.items["tools"]["echo"].data
    assert json.loads(data) == {**json.loads(definition.data), "name": "docs__echo"}
    assert b"2.50" in data
    assert own.items["tools"]["echo"].data == definition.data
    assert own.items["tools"]["echo"].offered == "echo"


@pytest.mark.parametrize(
    ("old", "new"), [("1.9.0", "1.10.0"), ("1.0.0-rc1", "1.0.0"), ("1.0.0-rc1", "1.0.0-rc2"), ("", "0.1")]
)
def test_of_several_versions_of_a_tool_the_newest_is_listed_and_none_is_lost(old: str, new: str) -> None:
    mesh = StringMesh()
    mesh.up(
        bundle("docs", old, tools=[tool("a", "old"), tool("gone")], ttl_ms=9000, cache_scope="private"),
        instance="1", version=old,
    )  # fmt: skip
    mesh.up(
        bundle("docs", new, tools=[tool("a", "new"), tool("fresh")], ttl_ms=4000), instance="2", version=new
    )

    made = shelf(mesh)

    assert made is not None
    assert offered(made) == ["docs__a", "docs__fresh", "docs__gone"]
    assert json.loads(made.items["tools"]["a"].data)["description"] == "new"
    assert (made.version, made.ttl_ms, made.private, made.whole) == (new, 4000, True, True)


def test_what_is_not_fetched_yet_is_not_offered() -> None:
    mesh = StringMesh()
    mesh.up(bundle("docs", tools=[tool("a")]), fetched=False)

    assert shelf(mesh) is None


def test_a_server_keeps_its_place_until_its_new_version_is_fetched() -> None:
    mesh = StringMesh()
    mesh.up(bundle("docs", tools=[tool("a")]))
    before = shelf(mesh)
    new = bundle("docs", "1.1.0", tools=[tool("b")])
    mesh.up(new, version="1.1.0", fetched=False)

    waiting = shelf(mesh, before=before)
    assert waiting is not None
    assert offered(waiting) == ["docs__a"]
    assert not waiting.whole
    assert shelf(mesh, before=waiting) is waiting
    mesh.fetch(new)
    assert offered(shelf(mesh, before=waiting)) == ["docs__b"]


def test_the_same_manifests_make_the_same_shelf() -> None:
    mesh = StringMesh()
    offer = bundle("docs", tools=[tool("a")])
    mesh.up(offer)
    before = shelf(mesh)
    mesh.up(offer, instance="2", region="us")

    assert shelf(mesh, before=before) is before


def test_tags_choose_by_thing_and_by_server() -> None:
    mesh = StringMesh()
    tagged = tool("a", _meta={"longreach/tags": ["finance", "x"]})
    odd = tool("odd", _meta={"longreach/tags": "finance"})
    mesh.up(bundle("docs", tools=[tagged, tool("b"), odd], tags=["team"]))

    assert offered(shelf(mesh, filters=Filters.of(tags=["finance"]))) == ["docs__a"]
    assert len(offered(shelf(mesh, filters=Filters.of(tags=["team"])))) == 3
    assert offered(shelf(mesh, filters=Filters.of(tags=["other"]))) == []


def test_a_manifest_that_says_it_is_anothers_routes_nothing_there() -> None:
    mesh = StringMesh()
    mesh.up(bundle("evil", tools=[tool("a")]), server="docs")

    made = shelf(mesh)

    assert made is not None
    assert made.items["tools"]["a"].server == "docs"


def test_a_blob_that_is_no_definition_hides_nothing_else() -> None:
    mesh = StringMesh()
    broken = tool("broken")._replace(data=b'{"name":"broken"')
    mesh.up(bundle("docs", tools=[tool("a"), broken]))

    assert offered(shelf(mesh)) == ["docs__a"]
