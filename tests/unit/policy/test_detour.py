"""A re-run goes around nodes that are stuck, where there are others."""

from __future__ import annotations

import pytest

from longreach.policy.catalog import Catalog
from longreach.policy.detour import detour
from longreach.policy.questions import NodeId
from longreach.policy.route import Candidate
from longreach.wire.frames import Announcement


def catalog(*places: str, canary: str = "") -> Catalog:
    """`region/instance@version` each, of server docs."""
    value = Catalog()
    for place in places:
        region, _, rest = place.partition("/")
        instance, _, version = rest.partition("@")
        more = {"canary": 10} if instance == canary else {}
        value = value.apply(
            Announcement(
                server="docs", version=version or "1.0.0", digest="d", region=region, identity="n",
                instance=instance, state="up", seq=1, clock_ms=0, **more,
            )
        )  # fmt: skip
    return value


def to(known: Catalog, target: str, *stuck: str, chance: float = 0.0) -> str:
    nodes = [NodeId("eu", "n", instance) for instance in stuck]
    return detour(known, "docs", Candidate("eu", target, "home"), nodes, lambda: chance).to


THREE = catalog("eu/a", "eu/b", "eu/c", "us/d")


@pytest.mark.parametrize(
    ("stuck", "chance", "expected"),
    [
        ([], 0.0, "_"),
        (["a"], 0.0, "n-b"),
        (["a"], 0.999999, "n-c"),
        (["a"], 1.0, "n-c"),
        (["a", "c"], 0.5, "n-b"),
        (["a", "b", "c"], 0.5, "_"),
        (["d"], 0.5, "_"),
    ],
)
def test_one_of_the_others_in_that_region_is_addressed(stuck, chance, expected):
    assert to(THREE, "_", *stuck, chance=chance) == expected


def test_a_version_is_kept():
    known = catalog("eu/a@1.0.0", "eu/b@2.0.0", "eu/c@1.5.0")
    assert to(known, "v1", "a") == "n-c"
    assert to(known, "v2", "b") == "v2"


def test_a_node_that_is_meant_stays_meant():
    assert to(THREE, "n-a", "a") == "n-a"


def test_a_canary_is_no_way_round():
    assert to(catalog("eu/a", "eu/b", canary="b"), "_", "a") == "_"


def test_a_node_that_does_not_offer_it_is_no_way_around():
    value = catalog("eu/a", "eu/b")
    without = next(i for i in value.instances.values() if i.instance == "b")
    nodes = [NodeId("eu", "n", "a")]
    asked = Candidate("eu", "_", "home")
    assert detour(value, "docs", asked, nodes, lambda: 0.0, {without.digest}) == asked
