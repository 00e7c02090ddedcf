from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from longreach.policy.breaker import UNSEEN, Seen
from longreach.policy.catalog import Catalog
from longreach.policy.route import Candidate, Wish, pick, routes
from longreach.policy.versions import parse_range
from longreach.wire.frames import Announcement

SLOT = "c-2=2e1=2e0"
ANNOUNCED: dict[str, Any] = {
    "server": "docs", "version": "1.0.0", "digest": "d", "region": "eu", "identity": "n", "instance": "1",
    "state": "up", "seq": 2, "clock_ms": 0,
}  # fmt: skip


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


# Ranges of versions


def found(value: Catalog, version: str, **how):
    return routes(value, "docs", Wish(version=parse_range(version), **how))


def targets(value: Catalog, version: str, **how) -> list[tuple[str, str]]:
    return [(candidate.region, candidate.to) for candidate in found(value, version, **how).candidates]


MIXED = catalog("eu/1@1.4.0", "eu/2@1.9.0", "eu/3@2.0.0", "us/4@2.1.0", "us/5@2.1.0")


def test_where_all_versions_fit_anybody_is_asked():
    assert targets(MIXED, ">=2", prefer=["us"]) == [("us", "_"), ("eu", "v2")]


def test_where_a_whole_major_version_fits_it_is_asked():
    assert targets(MIXED, "1") == [("eu", "v1")]


def test_where_only_some_of_a_major_version_fit_they_are_asked_by_their_names():
    assert targets(MIXED, ">=1.5,<2") == [("eu", "n-2")]
    ranged = found(MIXED, ">=1.5", home="eu")
    assert [c.to for c in ranged.candidates if c.region == "eu"] == ["n-2", "v2"]
    assert sorted(weight for _, weight in ranged.spread) == [50.0, 50.0]


def test_a_range_that_nothing_fits_excludes_each_region_and_says_why():
    nothing = found(MIXED, ">=3")
    assert nothing.candidates == ()
    assert dict(nothing.excluded)["eu"] == "no instance of a version that fits >=3"


def test_a_typed_call_goes_to_its_major_version_though_all_fit():
    assert [c.to for c in routes(catalog("eu/1@2.0"), "docs", Wish(to="v2")).candidates] == ["v2"]


# Canaries


def with_canary(weight: int, *others: str, region: str = "eu", version: str = "2.1.0") -> Catalog:
    value = catalog(*others)
    said = Announcement(
        server="docs", version=version, digest="d", region=region, identity="n", instance="canary",
        state="up", seq=1, clock_ms=0, canary=weight,
    )  # fmt: skip
    return value.apply(said)


def shares(ordered) -> dict[str, float]:
    return {candidate.to: round(weight, 3) for candidate, weight in ordered.spread}


def test_a_canary_gets_its_share_of_first_attempts_and_is_the_last_resort():
    """M15.3, M15.4"""
    ordered = routes(with_canary(10, "eu/1@2.0.0", "us/2@2.0.0"), "docs", Wish(home="eu"))
    assert [(c.region, c.to) for c in ordered.candidates] == [("eu", "_"), ("us", "_"), ("eu", SLOT)]
    assert shares(ordered) == {"_": 90.0, SLOT: 10.0}


def test_the_share_is_kept_by_picking():
    spread = routes(with_canary(10, "eu/1@2.0.0"), "docs", Wish()).spread
    picked = Counter(pick(spread, number / 1000).to for number in range(1000))
    assert picked == {"_": 900, SLOT: 100}


def test_a_canary_of_weight_0_gets_nothing_but_what_asks_for_its_version():
    """M15.3"""
    value = with_canary(0, "eu/1@2.0.0")
    assert [c.to for c in routes(value, "docs", Wish()).candidates] == ["_"]
    assert routes(value, "docs", Wish()).spread == ()
    assert targets(value, "2.1.0") == [("eu", SLOT)]
    assert targets(value, "2") == [("eu", "_")]


def test_a_canary_in_another_region_takes_nothing_from_this_one():
    ordered = routes(with_canary(50, "eu/1", "us/2", region="us"), "docs", Wish(home="eu"))
    assert ordered.spread == ()
    assert [(c.region, c.to) for c in ordered.candidates] == [("eu", "_"), ("us", "_"), ("us", SLOT)]


def test_a_canary_that_does_not_fit_the_range_gets_nothing():
    assert targets(with_canary(50, "eu/1@2.0.0"), "<2.1") == [("eu", "_")]


def test_the_greatest_weight_of_a_version_counts_and_is_not_added_up():
    """M15.3"""
    value = with_canary(10, "eu/1@2.0.0")
    other = next(i for i in value.instances.values() if i.canary is not None)
    value = value.apply(
        Announcement(**{**ANNOUNCED, "instance": "canary2", "version": other.version, "canary": 20})
    )
    assert shares(routes(value, "docs", Wish())) == {"_": 80.0, SLOT: 20.0}


def test_one_node_is_reached_by_its_name_though_it_is_a_canary():
    assert [c.to for c in routes(with_canary(0, "eu/1"), "docs", Wish(node="n.canary")).candidates] == [
        "n-canary"
    ]


def test_an_announcement_that_says_nothing_of_canaries_is_of_none():
    """M15.1, M11.3"""
    value = with_canary(10, "eu/1@2.0.0")
    promoted = value.apply(Announcement(**{**ANNOUNCED, "instance": "canary", "version": "2.1.0"}))
    assert {i.canary for i in promoted.instances.values()} == {None}


# Health


def health(**open_or_slow):
    def seen(region: str, to: str) -> Seen:
        return open_or_slow.get(region, UNSEEN)

    return seen


def test_a_region_whose_breaker_is_open_comes_last_and_is_still_there():
    ordered = routes(THREE, "docs", Wish(home="eu", prefer=["us"]), health=health(eu=Seen("open")))
    assert [c.region for c in ordered.candidates] == ["us", "ap", "eu"]


def test_a_region_whose_breaker_is_half_open_has_its_place():
    ordered = routes(THREE, "docs", Wish(home="eu"), health=health(eu=Seen("half_open")))
    assert ordered.candidates[0].region == "eu"


def test_latency_orders_what_no_policy_does_and_nothing_else():
    slow_home = health(us=Seen(latency_s=9.0), eu=Seen(latency_s=0.2), ap=Seen(latency_s=0.3))
    assert [c.region for c in routes(THREE, "docs", Wish(home="us"), health=slow_home).candidates] == [
        "us", "eu", "ap",
    ]  # fmt: skip
    assert [c.region for c in routes(THREE, "docs", Wish(), health=slow_home).candidates] == [
        "eu",
        "ap",
        "us",
    ]


def test_a_canary_that_does_not_answer_gets_no_share():
    def seen(region: str, to: str) -> Seen:
        return Seen("open") if to == SLOT else UNSEEN

    assert routes(with_canary(50, "eu/1"), "docs", Wish(), health=seen).spread == ()


def test_what_is_known_not_to_offer_it_is_passed_over_and_changes_no_address():
    value = catalog("eu/1@1.0.0", "us/2@1.0.0")
    value = value.apply(
        Announcement(**{**ANNOUNCED, "instance": "3", "version": "1.6.0", "digest": "without"})
    )
    lacking = frozenset({"without"})
    assert [(c.region, c.to) for c in routes(value, "docs", Wish(), lacking=lacking).candidates] == [
        ("eu", "_"), ("us", "_"),
    ]  # fmt: skip
    ranged = routes(value, "docs", Wish(version=parse_range(">=1.5")), lacking=lacking)
    assert ranged.candidates == ()
    assert dict(ranged.excluded)["eu"] in (
        "version 1.6.0 there does not offer it", "no instance of a version that fits >=1.5"
    )  # fmt: skip
