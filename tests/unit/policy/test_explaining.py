from __future__ import annotations

from tests.unit.policy.test_route import SLOT, catalog, health, with_canary

from longreach.policy.breaker import Seen
from longreach.policy.explaining import explain
from longreach.policy.route import Wish, routes
from longreach.policy.versions import parse_range

THREE = catalog("us/1@1.0.0", "eu/2@2.0.0", "ap/3@2.0.0")


def whys(value, wish: Wish) -> dict[str, str]:
    return {row.region: row.why for row in explain(value, "docs", wish)}


def test_each_place_has_its_reason():
    wish = Wish(
        home="eu", prefer=["mars"], residency=frozenset({"eu", "us", "mars"}), version=parse_range("2")
    )
    assert whys(THREE, wish) == {
        "eu": "home",
        "mars": "no node there offers docs",
        "ap": "outside the residency",
        "us": "no instance of a version that fits 2",
    }


def test_a_pinned_node_leaves_the_others_out():
    found = explain(THREE, "docs", Wish(node="n.2"))
    assert [(row.node, row.place, row.target) for row in found] == [
        ("n.2", 1, "n-2"), ("n.3", None, None), ("n.1", None, None),
    ]  # fmt: skip
    assert found[1].why == "node n.2 is not there"


def test_health_and_permissions_are_told():
    found = explain(
        THREE,
        "docs",
        Wish(home="eu"),
        health=health(eu=Seen("open", 0.25), ap=Seen("half_open")),
        denied={"us": "the broker's permissions refused it 3 s ago"},
    )
    rows = {row.region: row for row in found}
    assert rows["eu"].why == "home; its breaker is open: asked last"
    assert (rows["eu"].breaker, rows["eu"].latency_ms, rows["eu"].place) == ("open", 250.0, 3)
    assert "half open" in rows["ap"].why
    assert rows["us"].why == "offers it; the broker's permissions refused it 3 s ago"


def test_canaries_are_told_with_their_share():
    rows = {row.node: row for row in explain(with_canary(10, "eu/1@2.0.0"), "docs", Wish(home="eu"))}
    assert (rows["n.canary"].target, rows["n.canary"].why) == (SLOT, "home; canary, 10 %")
    assert [round(row.share, 2) for row in rows.values()] == [0.9, 0.1]
    assert all(row.taken for row in rows.values())
    nothing = {row.node: row for row in explain(with_canary(0, "eu/1@2.0.0"), "docs", Wish())}
    assert (nothing["n.canary"].why, nothing["n.canary"].taken) == ("a canary of weight 0", False)


def test_it_agrees_with_what_is_done():
    value, wish = with_canary(25, "eu/1@2.0.0", "eu/4@1.0.0", "us/2@2.0.0"), Wish(version=parse_range(">=2"))
    ordered = routes(value, "docs", wish)
    asked = {(r.region, r.target): r.place for r in explain(value, "docs", wish) if r.place is not None}
    assert asked == {(c.region, c.to): n for n, c in enumerate(ordered.candidates, 1)}


def test_nobody_is_there():
    assert explain(THREE, "mail", Wish()) == []
