"""Each place that a call might go to, and the reason why it is taken or not; without calling.

The same decisions as `policy.route`, told for each node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from longreach.policy.breaker import UNSEEN, Seen, Standing
from longreach.policy.catalog import Catalog
from longreach.policy.instances import Instance
from longreach.policy.route import Routes, Wish, routes
from longreach.wire.subjects import ANY, canary_target, instance_target, version_target


class Considered(NamedTuple):
    """One place, and what speaks for or against it.

    Attributes:
        region: where it is.
        node: ``identity.instance``; None: nobody is there.
        version: of its server.
        target: the target token under which it would be asked; None: it would not be.
        place: of its target in the order, 1 is asked first; None: it is not asked.
        share: of first attempts that its target gets, 0 to 1.
        why: in words.
        breaker: of its route.
        latency_ms: what answers of its route took lately; None: there was none.
    """

    region: str
    node: str | None
    version: str | None
    target: str | None
    place: int | None
    share: float
    why: str
    breaker: Standing = "closed"
    latency_ms: float | None = None

    @property
    def taken(self) -> bool:
        """Whether first attempts go there."""
        return self.share > 0


def explain(
    catalog: Catalog,
    server: str,
    wish: Wish,
    *,
    tool: str | None = None,
    denied: Mapping[str, str] | None = None,
    health: Callable[[str, str], Seen] = lambda *_: UNSEEN,
) -> list[Considered]:
    """Consider every node that offers `server`, in the order in which they would be asked.

    Args:
        catalog: who offers what.
        server: the server's name.
        wish: the policies.
        tool: the tool that is meant; None: any.
        denied: regions that the broker refused, and what it said.
        health: what is known of the route to (region, target).
    """
    lacking = frozenset[str]() if tool is None else catalog.lacking(server, tool)
    found = routes(catalog, server, wish, lacking=lacking, health=health)
    places = {(c.region, c.to): number for number, c in enumerate(found.candidates, 1)}
    rows = [
        _lacks(instance, tool)
        if instance.digest in lacking
        else _consider(instance, wish, found, places, health, denied or {})
        for instance in catalog.of_server(server)
    ]
    there = {row.region for row in rows}
    named = dict.fromkeys([*([wish.home] if wish.home else ()), *wish.prefer, *sorted(wish.residency or ())])
    rows += [
        Considered(region, None, None, None, None, 0.0, f"no node there offers {server}")
        for region in named
        if region not in there and (wish.residency is None or region in wish.residency)
    ]
    return sorted(
        rows, key=lambda r: (r.place or len(places) + 1, wish.rank(r.region), r.region, r.node or "")
    )


def _consider(
    instance: Instance,
    wish: Wish,
    found: Routes,
    places: Mapping[tuple[str, str], int],
    health: Callable[[str, str], Seen],
    denied: Mapping[str, str],
) -> Considered:
    node = f"{instance.identity}.{instance.instance}"
    objection = wish.objection(instance)
    target = None if objection is not None else _target(instance, places)
    if target is None:
        reason = objection or "a canary of weight 0"
        return Considered(instance.region, node, instance.version, None, None, 0.0, reason)
    place = places[instance.region, target]
    seen = health(instance.region, target)
    share = _share(found, instance.region, target, place)
    why = [found.candidates[place - 1].why]
    if instance.canary is not None:
        why.append(f"canary, {instance.canary} %")
    if seen.standing == "open":
        why.append("its breaker is open: asked last")
    elif seen.standing == "half_open":
        why.append("its breaker is half open: one call at a time")
    if instance.region in denied:
        why.append(denied[instance.region])
    latency_ms = None if seen.latency_s is None else round(seen.latency_s * 1000, 3)
    return Considered(
        instance.region,
        node,
        instance.version,
        target,
        place,
        share,
        "; ".join(why),
        seen.standing,
        latency_ms,
    )


def _target(instance: Instance, places: Mapping[tuple[str, str], int]) -> str | None:
    """The candidate that can reach an instance: by its own name, its slot, its major version, or as any."""
    own = instance_target(instance.instance)
    group = (version_target(instance.version), ANY) if instance.canary is None else ()
    slot = () if instance.canary is None else (canary_target(instance.version),)
    return next((to for to in (own, *slot, *group) if (instance.region, to) in places), None)


def _share(found: Routes, region: str, target: str, place: int) -> float:
    if not found.spread:
        return 1.0 if place == 1 else 0.0
    whole = sum(weight for _, weight in found.spread)
    return sum(weight for c, weight in found.spread if (c.region, c.to) == (region, target)) / whole


def _lacks(instance: Instance, tool: str | None) -> Considered:
    why = f"version {instance.version} there has no tool called {tool}"
    node = f"{instance.identity}.{instance.instance}"
    return Considered(instance.region, node, instance.version, None, None, 0.0, why)
