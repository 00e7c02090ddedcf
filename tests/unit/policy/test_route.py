from __future__ import annotations

import pytest

from longreach.policy.catalog import Catalog
from longreach.policy.route import Candidate, Wish, routes
from longreach.wire.frames import Announcement


def catalog(*places: str) -> Catalog:
    """`region/instance@version` each, of server docs."""
    value = Catalog()
    for place in places:
        region, _, rest = place.partition("/")
        instance, _, version = rest.partition("@")
        value = value.apply(
            Announcement(
                server="docs",
                version=version or "1.0.0",
                digest="d",
                region=region,
                identity="n",
                instance=instance,
                state="up",
                seq=1,
                clock_ms=0,
            ),
            0,
        )
    return value


THREE = catalog("us/1", "eu/2", "ap/3")


def regions(value, **how) -> list[str]:
    return [candidate.region for candidate in routes(value, "docs", Wish(**how)).candidates]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, ["ap", "eu", "us"]),
        ({"home": "us"}, ["us", "ap", "eu"]),
        ({"prefer": ["eu", "us"]}, ["eu", "us", "ap"]),
        ({"home": "us", "prefer": ["eu"]}, ["us", "eu", "ap"]),
        ({"home": "us", "prefer": ["eu", "us"]}, ["us", "eu", "ap"]),
        ({"home": "mars"}, ["ap", "eu", "us"]),
    ],
)
def test_home_then_the_preferred_then_the_others_by_name(how, expected):
    assert regions(THREE, **how) == expected


def test_a_region_is_there_once_however_many_instances_it_has():
    assert regions(catalog("eu/1", "eu/2", "eu/3")) == ["eu"]


def test_residency_is_before_everything():
    found = routes(THREE, "docs", Wish(home="us", prefer=["ap"], residency=frozenset({"eu"})))
    assert [candidate.region for candidate in found.candidates] == ["eu"]
    assert dict(found.excluded) == {"us": "outside the residency", "ap": "outside the residency"}


def test_an_empty_residency_allows_nothing():
    assert regions(THREE, residency=frozenset()) == []


def test_where_it_is_forbidden_it_does_not_go():
    found = routes(THREE, "docs", denied=frozenset({"eu"}))
    assert [candidate.region for candidate in found.candidates] == ["ap", "us"]
    assert "permissions" in dict(found.excluded)["eu"]


def test_a_version_goes_where_that_version_is():
    found = routes(catalog("eu/1@1.4.0", "us/2@2.0.0", "us/3@1.9.0"), "docs", Wish(to="v2"))
    assert found.candidates == (Candidate("us", "v2", "offers it"),)
    assert dict(found.excluded) == {"eu": "no instance of version v2"}


def test_one_node_is_addressed_by_its_instance():
    found = routes(THREE, "docs", Wish(node="n.2"))
    assert found.candidates == (Candidate("eu", "n-2", "offers it"),)
    assert set(dict(found.excluded)) == {"us", "ap"}


def test_nobody_offers_another_server():
    assert routes(THREE, "mail") == ((), (), ())


def test_why_says_why():
    found = routes(THREE, "docs", Wish(home="us", prefer=["eu"]))
    assert [candidate.why for candidate in found.candidates] == ["home", "preferred", "offers it"]
