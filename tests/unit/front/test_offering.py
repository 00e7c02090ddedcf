"""Everything that a front offers, as a value."""

from __future__ import annotations

from tests.support.fronts import StringMesh, bundle, tool

from longreach.front.filters import Filters
from longreach.front.offering import build_offering

ALL = Filters()


def two() -> StringMesh:
    mesh = StringMesh()
    mesh.up(bundle("docs", tools=[tool("b"), tool("a")], ttl_ms=9000), server="docs")
    mesh.up(
        bundle("maths", tools=[tool("add")], ttl_ms=3000, cache_scope="private"), server="maths", region="us"
    )
    return mesh


def names(mesh: StringMesh, filters: Filters = ALL, server: str | None = None) -> list[str]:
    return [item.offered for item in build_offering(mesh.catalog, filters, server=server).lists["tools"]]


def test_all_servers_are_listed_by_server_and_name_under_the_strictest_terms() -> None:
    offering = build_offering(two().catalog, ALL)

    assert [item.offered for item in offering.lists["tools"]] == ["docs__a", "docs__b", "maths__add"]
    assert (offering.ttl_ms, offering.cache_scope, offering.unknown) == (3000, "private", frozenset())
    found = offering.find("tools", "maths__add")
    assert found is not None
    assert (found.server, found.name) == ("maths", "add")


def test_one_server_is_listed_under_its_own_names_and_terms() -> None:
    offering = build_offering(two().catalog, ALL, server="docs")

    assert [item.offered for item in offering.lists["tools"]] == ["a", "b"]
    assert (offering.ttl_ms, offering.cache_scope) == (9000, "public")


def test_filters_choose_servers_and_regions() -> None:
    assert names(two(), Filters.of(servers=["maths"])) == ["maths__add"]
    assert names(two(), Filters.of(regions=["eu"])) == ["docs__a", "docs__b"]
    assert names(two(), Filters.of(regions=["mars"])) == []
    assert names(two(), Filters.of(servers=["docs"]), server="maths") == []


def test_a_server_that_cannot_be_fetched_leaves_the_rest_and_nothing_is_kept_for_long() -> None:
    mesh = two()
    mesh.up(bundle("slow", tools=[tool("x")]), server="slow", fetched=False)

    offering = build_offering(mesh.catalog, ALL)

    assert [item.offered for item in offering.lists["tools"]] == ["docs__a", "docs__b", "maths__add"]
    assert offering.unknown == {"slow"}
    assert offering.ttl_ms == 0


def test_what_says_nothing_new_changes_nothing() -> None:
    mesh = two()
    before = build_offering(mesh.catalog, ALL)
    mesh.up(bundle("docs", tools=[tool("b"), tool("a")], ttl_ms=9000), server="docs", instance="2")

    assert build_offering(mesh.catalog, ALL, before=before) is before


def test_a_server_that_leaves_is_not_offered() -> None:
    mesh = two()
    before = build_offering(mesh.catalog, ALL)
    mesh.down(server="docs")

    after = build_offering(mesh.catalog, ALL, before=before)

    assert [item.offered for item in after.lists["tools"]] == ["maths__add"]
    assert after.shelves["maths"] is before.shelves["maths"]


def test_an_empty_mesh_offers_nothing_and_it_is_not_to_be_kept() -> None:
    offering = build_offering(StringMesh().catalog, ALL)

    assert (list(offering.lists["tools"]), offering.ttl_ms, offering.cache_scope) == ([], 0, "public")
