"""Whatever is up and wished, no call goes where it may not; and what is explained is what is done."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from longreach.policy.breaker import Seen
from longreach.policy.catalog import Catalog
from longreach.policy.explaining import explain
from longreach.policy.instances import Instance
from longreach.policy.route import Wish, pick, routes
from longreach.policy.versions import parse_range
from longreach.wire.frames import Announcement
from longreach.wire.subjects import ANY, canary_target, instance_target, version_target

REGIONS = ("eu", "us", "ap")
VERSIONS = ("1.4.0", "1.9.0", "2.0.0", "2.1.0", "2.1.0-rc1", "next")
region = st.sampled_from(REGIONS)
instances = st.lists(
    st.tuples(region, st.sampled_from(VERSIONS), st.one_of(st.none(), st.sampled_from([0, 10, 99]))),
    max_size=8,
)
wishes = st.builds(
    Wish,
    home=st.one_of(st.none(), region),
    prefer=st.lists(region, unique=True, max_size=2),
    residency=st.one_of(st.none(), st.frozensets(region, max_size=3)),
    to=st.one_of(st.none(), st.sampled_from(["v1", "v2"])),
    node=st.one_of(st.none(), st.sampled_from(["n.0", "n.3"])),
    version=st.one_of(st.none(), st.sampled_from([">=2", "1", "2.1.*", ">=1.5,<2.1"]).map(parse_range)),
)
standing = st.sampled_from(["closed", "open", "half_open"])
healths = st.dictionaries(region, st.builds(Seen, standing, st.one_of(st.none(), st.floats(0.001, 9))))


def catalog(places: list[tuple[str, str, int | None]]) -> Catalog:
    value = Catalog()
    for n, (where, version, weight) in enumerate(places):
        share = {} if weight is None else {"canary": weight}
        value = value.apply(
            Announcement("docs", version, "d", where, "n", str(n), "up", seq=1, clock_ms=0, **share)
        )
    return value


def reached(value: Catalog, where: str, to: str) -> list[Instance]:
    """Who takes calls under a target token."""
    here = [instance for instance in value.of_server("docs") if instance.region == where]
    groups = {
        instance.instance: {
            instance_target(instance.instance),
            *((ANY, version_target(instance.version)) if instance.canary is None else ()),
            *((canary_target(instance.version),) if instance.canary is not None else ()),
        }
        for instance in here
    }
    return [instance for instance in here if to in groups[instance.instance]]


@given(places=instances, wish=wishes, health=healths, chance=st.floats(0, 1, exclude_max=True))
def test_nobody_is_reached_who_may_not_be(places: Any, wish: Wish, health: dict[str, Seen], chance: float):
    value = catalog(places)
    ordered = routes(value, "docs", wish, health=lambda where, _: health.get(where, Seen()))
    assert len(set(ordered.candidates)) == len(ordered.candidates)
    for candidate in ordered.candidates:
        nodes = reached(value, candidate.region, candidate.to)
        assert nodes
        assert [wish.objection(node) for node in nodes] == [None] * len(nodes)
        asked_for = wish.version is not None or wish.to is not None or wish.node is not None
        assert asked_for or any(node.canary != 0 for node in nodes)
    covered = {n for c in ordered.candidates for n in reached(value, c.region, c.to)}
    fitting = {n for n in value.of_server("docs") if wish.objection(n) is None}
    assert {n for n in fitting if n.canary is None} <= covered
    assert {where for where, _ in ordered.excluded}.isdisjoint({c.region for c in ordered.candidates})
    if ordered.spread:
        assert {c for c, _ in ordered.spread} <= set(ordered.candidates)
        assert {c.region for c, _ in ordered.spread} == {ordered.candidates[0].region}
        assert pick(ordered.spread, chance) in ordered.candidates


@given(places=instances, wish=wishes, health=healths)
def test_policy_comes_first_and_health_moves_only_what_is_open(
    places: Any, wish: Wish, health: dict[str, Seen]
):
    ordered = routes(catalog(places), "docs", wish, health=lambda where, _: health.get(where, Seen()))
    stable = [c for c in ordered.candidates if not c.to.startswith("c-")]
    ranks = [(health.get(c.region, Seen()).standing == "open", wish.rank(c.region)) for c in stable]
    assert ranks == sorted(ranks)


@given(places=instances, wish=wishes, health=healths)
def test_what_is_explained_is_what_is_done(places: Any, wish: Wish, health: dict[str, Seen]):
    value = catalog(places)

    def seen(where: str, _: str) -> Seen:
        return health.get(where, Seen())

    ordered = routes(value, "docs", wish, health=seen)
    rows = explain(value, "docs", wish, health=seen)
    assert {(r.region, r.target): r.place for r in rows if r.target is not None} == {
        (c.region, c.to): place for place, c in enumerate(ordered.candidates, 1)
    }
    assert {row.node for row in rows if row.node} == {f"n.{number}" for number in range(len(places))}
    assert all(row.why for row in rows)
    shares = {(row.region, row.target): row.share for row in rows}
    assert not ordered.candidates or abs(sum(shares.values()) - 1) < 1e-9
