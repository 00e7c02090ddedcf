"""Where a call may go, in order, and why not elsewhere.

Residency filters before anything else decides: a region outside it is never a candidate. Policy orders what
is left; health moves what does not answer behind everything else, and orders regions that policy does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from longreach.policy.breaker import UNSEEN, Seen
from longreach.policy.catalog import Catalog
from longreach.policy.instances import Instance
from longreach.policy.versions import Exactly, VersionRange
from longreach.wire.subjects import ANY, canary_target, instance_target, version_target


class Candidate(NamedTuple):
    """A region, the target token there, and why it stands where it stands."""

    region: str
    to: str
    why: str


class Routes(NamedTuple):
    """The candidates in order, and the regions that are none, with the reason.

    `spread` says how first attempts are shared out among some of the candidates, by weight; empty: the first
    candidate gets all of them.
    """

    candidates: tuple[Candidate, ...]
    excluded: tuple[tuple[str, str], ...]
    spread: tuple[tuple[Candidate, float], ...] = ()


class Wish(NamedTuple):
    """What a caller wants of a route; each part is a policy of its own.

    Attributes:
        home: the region asked first.
        prefer: regions asked next, in order.
        residency: the only regions that may be used; None: any.
        to: the target token of a major version (``v2``): what a typed call is shaped by.
        node: ``identity.instance``: this node only.
        version: the versions that may be used; None: any.
    """

    home: str | None = None
    prefer: Sequence[str] = ()
    residency: frozenset[str] | None = None
    to: str | None = None
    node: str | None = None
    version: VersionRange | Exactly | None = None

    def objection(self, instance: Instance, denied: frozenset[str] = frozenset()) -> str | None:
        """Why an instance is no place for the call; None: it is one."""
        if self.residency is not None and instance.region not in self.residency:
            return "outside the residency"
        if instance.region in denied:
            return "the broker's permissions forbid it"
        if self.node is not None and self.node != f"{instance.identity}.{instance.instance}":
            return f"node {self.node} is not there"
        if self.to is not None and version_target(instance.version) != self.to:
            return f"no instance of version {self.to}"
        if self.version is not None and not self.version.fits(instance.version):
            return f"no instance of a version that fits {self.version}"
        return None

    def rank(self, region: str) -> int:
        """The place of a region in the order that was asked for; those that were not named come last."""
        if region == self.home:
            return 0
        return 1 + (list(self.prefer).index(region) if region in self.prefer else len(self.prefer))


def routes(
    catalog: Catalog,
    server: str,
    wish: Wish = Wish(),  # noqa: B008 - a value
    *,
    denied: frozenset[str] = frozenset(),
    lacking: frozenset[str] = frozenset(),
    health: Callable[[str, str], Seen] = lambda *_: UNSEEN,
) -> Routes:
    """Order the places that offer `server`: home, then those preferred, then the others.

    Args:
        catalog: who offers what.
        server: the server's name.
        wish: the policies.
        denied: regions where the broker's permissions forbid it.
        lacking: the digests of what does not offer what is asked for.
        health: what is known of the route to (region, target).
    """
    fitting: dict[str, list[Instance]] = {}
    there: dict[str, list[Instance]] = {}
    excluded: dict[str, str] = {}
    for instance in catalog.of_server(server):
        if instance.digest in lacking:  # it is in no group that the call could reach
            excluded[instance.region] = f"version {instance.version} there does not offer it"
            continue
        there.setdefault(instance.region, []).append(instance)
        objection = wish.objection(instance, denied)
        if objection is None:
            fitting.setdefault(instance.region, []).append(instance)
        else:
            excluded[instance.region] = objection
    placed = {region: targets_of(fitting[region], there[region], wish) for region in fitting}
    stable = _ordered(((r, target) for r, found in placed.items() for target in found.stable), wish, health)
    slots = _ordered(((r, target) for r, found in placed.items() for target in found.canary), wish, health)
    candidates = tuple(candidate for candidate, _ in (*stable, *slots))
    barred = dict.fromkeys(fitting, "only a canary of weight 0") | excluded
    left = {candidate.region for candidate in candidates}
    return Routes(
        candidates,
        tuple((region, why) for region, why in barred.items() if region not in left),
        _spread(stable, slots, health),
    )


class Targets(NamedTuple):
    """The target tokens in one region, each with its weight: of stable versions, and canary slots."""

    stable: tuple[tuple[str, float], ...]
    canary: tuple[tuple[str, float], ...]


def targets_of(fitting: Sequence[Instance], there: Sequence[Instance], wish: Wish) -> Targets:
    """How the instances of a region that fit are addressed, so that no other can take the call.

    Args:
        fitting: those that fit.
        there: all of the region.
        wish: what they fit.
    """
    if wish.node is not None:
        return Targets(tuple((instance_target(i.instance), 1.0) for i in fitting), ())
    stable = [instance for instance in fitting if instance.canary is None]
    slots: dict[str, float] = {}
    for instance in fitting:
        if instance.canary is not None:
            slot = canary_target(instance.version)
            slots[slot] = max(slots.get(slot, 0.0), float(instance.canary))
    if not stable and (wish.version is not None or wish.to is not None):
        return Targets(tuple((slot, 1.0) for slot in slots), ())  # it is what was asked for
    weighed = {slot: weight for slot, weight in slots.items() if weight > 0}
    others = [instance for instance in there if instance.canary is None and instance not in stable]
    return Targets(tuple(_addressed(stable, others, wish)), tuple(weighed.items()))


def _addressed(stable: Sequence[Instance], others: Sequence[Instance], wish: Wish) -> list[tuple[str, float]]:
    if not stable:
        return []
    if not others and wish.to is None:
        return [(ANY, float(len(stable)))]
    majors: dict[str, list[Instance]] = {}
    for instance in stable:
        majors.setdefault(version_target(instance.version), []).append(instance)
    broken = {version_target(instance.version) for instance in others}
    found: list[tuple[str, float]] = []
    for major, instances in majors.items():
        if major in broken:
            found += [(instance_target(instance.instance), 1.0) for instance in instances]
        else:
            found.append((major, float(len(instances))))
    return found


_Weighed = tuple[Candidate, float]


def _ordered(
    found: Iterable[tuple[str, tuple[str, float]]], wish: Wish, health: Callable[[str, str], Seen]
) -> list[_Weighed]:
    """By policy, what does not answer last; regions that no policy orders by their latency and name."""
    last = len(wish.prefer) + 1

    def key(item: _Weighed) -> tuple[bool, int, float, str, str]:
        candidate = item[0]
        seen = health(candidate.region, candidate.to)
        rank = wish.rank(candidate.region)
        slowness = 0.0
        if rank == last:
            slowness = seen.latency_s if seen.latency_s is not None else float("inf")
        return (seen.standing == "open", rank, slowness, candidate.region, candidate.to)

    def why(region: str) -> str:
        rank = wish.rank(region)
        return "home" if rank == 0 else "preferred" if rank < last else "offers it"

    return sorted(((Candidate(r, to, why(r)), weight) for r, (to, weight) in found), key=key)


def _spread(
    stable: Sequence[_Weighed], slots: Sequence[_Weighed], health: Callable[[str, str], Seen]
) -> tuple[_Weighed, ...]:
    """The shares of first attempts: in the region that is asked first, and only what answers there."""
    if not stable:
        alone = [(candidate, weight) for candidate, weight in slots if candidate.region == slots[0][0].region]
        return tuple(alone) if len(alone) > 1 else ()
    region = stable[0][0].region
    alike = [
        (candidate, weight)
        for candidate, weight in stable
        if candidate.region == region and health(region, candidate.to).standing != "open"
    ]
    canaries = [
        (candidate, weight)
        for candidate, weight in slots
        if candidate.region == region and health(region, candidate.to).standing != "open"
    ]
    if len(alike) < 2 and not canaries:
        return ()
    alike = alike or [(stable[0][0], 1.0)]
    whole = sum(weight for _, weight in alike)
    rest = max(0.0, 100.0 - sum(weight for _, weight in canaries))
    return (*((candidate, weight / whole * rest) for candidate, weight in alike), *canaries)


def pick(spread: Sequence[_Weighed], chance: float) -> Candidate:
    """The candidate whose turn it is.

    Args:
        spread: of `Routes`; at least one.
        chance: in [0, 1).
    """
    left = chance * sum(weight for _, weight in spread)
    for candidate, weight in spread:
        left -= weight
        if left < 0:
            return candidate
    return spread[-1][0]
