"""Where a call may go, in order, and why not elsewhere.

Residency filters before anything else decides: a region outside it is never a candidate. Policy orders what
is left; health moves what does not answer behind everything else, and orders regions that policy does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from longreach.policy.breaker import UNSEEN, Seen
from longreach.policy.catalog import Catalog
from longreach.policy.instances import Instance, Sort
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


class Alike(NamedTuple):
    """Instances of a server that do not differ for a call: their sort, how many, and which one, if it is one.

    Routes are made of sorts, so that a plan costs what it chooses among, not what there is.
    """

    sort: Sort
    number: int
    instance: Instance | None = None


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
        return self.objection_to(Alike(instance.sort, 1, instance), denied)

    def objection_to(self, alike: Alike, denied: frozenset[str] = frozenset()) -> str | None:
        """Why instances that are alike are no place for the call; None: they are one."""
        sort, instance = alike.sort, alike.instance
        if self.residency is not None and sort.region not in self.residency:
            return "outside the residency"
        if sort.region in denied:
            return "the broker's permissions forbid it"
        if self.node is not None and (
            instance is None or self.node != f"{instance.identity}.{instance.instance}"
        ):
            return f"node {self.node} is not there"
        if self.to is not None and version_target(sort.version) != self.to:
            return f"no instance of version {self.to}"
        if self.version is not None and not self.version.fits(sort.version):
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
    fitting: dict[str, list[Alike]] = {}
    there: dict[str, list[Alike]] = {}
    excluded: dict[str, str] = {}
    for alike in _alike(catalog, server, wish):
        sort = alike.sort
        if sort.digest in lacking:  # it is in no group that the call could reach
            excluded[sort.region] = f"version {sort.version} there does not offer it"
            continue
        there.setdefault(sort.region, []).append(alike)
        objection = wish.objection_to(alike, denied)
        if objection is None:
            fitting.setdefault(sort.region, []).append(alike)
        else:
            excluded[sort.region] = objection

    def each(sort: Sort) -> list[Instance]:
        return [instance for instance in catalog.of_server(server) if instance.sort == sort]

    placed = {region: _targets_of(fitting[region], there[region], wish, each) for region in fitting}
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


def _alike(catalog: Catalog, server: str, wish: Wish) -> list[Alike]:
    """The instances of a server by sort; the one node that is wished for apart from its equals."""
    sorts = [Alike(sort, count) for sort, count in catalog.sorts_of(server)]
    if wish.node is None:
        return sorts
    dots = [at for at, byte in enumerate(wish.node) if byte == "."]  # a name may hold dots
    keys = [(wish.node[:at], wish.node[at + 1 :], server) for at in dots]
    instances = catalog.instances
    wanted = [instances[key] for key in keys if key in instances]
    return [*sorts, *(Alike(instance.sort, 1, instance) for instance in wanted)]


class _Targets(NamedTuple):
    """The target tokens in one region, each with its weight: of stable versions, and canary slots."""

    stable: tuple[tuple[str, float], ...]
    canary: tuple[tuple[str, float], ...]


_Each = Callable[[Sort], Sequence[Instance]]
"""Finds the instances of a sort; it looks at all of the server."""


def _targets_of(fitting: Sequence[Alike], there: Sequence[Alike], wish: Wish, each: _Each) -> _Targets:
    """How the instances of a region that fit are addressed, so that no other can take the call.

    Args:
        fitting: those that fit.
        there: all of the region.
        wish: what they fit.
        each: finds the instances of a sort.
    """
    if wish.node is not None:
        ones = [alike.instance for alike in fitting if alike.instance is not None]
        return _Targets(tuple((instance_target(one.instance), 1.0) for one in ones), ())
    stable = [alike for alike in fitting if alike.sort.canary is None]
    slots: dict[str, float] = {}
    for alike in fitting:
        if alike.sort.canary is not None:
            slot = canary_target(alike.sort.version)
            slots[slot] = max(slots.get(slot, 0.0), float(alike.sort.canary))
    if not stable and (wish.version is not None or wish.to is not None):
        return _Targets(tuple((slot, 1.0) for slot in slots), ())  # it is what was asked for
    weighed = {slot: weight for slot, weight in slots.items() if weight > 0}
    others = [alike for alike in there if alike.sort.canary is None and alike not in stable]
    return _Targets(tuple(_addressed(stable, others, wish, each)), tuple(weighed.items()))


def _addressed(
    stable: Sequence[Alike], others: Sequence[Alike], wish: Wish, each: _Each
) -> list[tuple[str, float]]:
    if not stable:
        return []
    if not others and wish.to is None:
        return [(ANY, float(sum(alike.number for alike in stable)))]
    majors: dict[str, list[Alike]] = {}
    for alike in stable:
        majors.setdefault(version_target(alike.sort.version), []).append(alike)
    broken = {version_target(alike.sort.version) for alike in others}
    found: list[tuple[str, float]] = []
    for major, those in majors.items():
        if major in broken:
            ones = [one for alike in those for one in each(alike.sort)]
            found += [(instance_target(one.instance), 1.0) for one in ones]
        else:
            found.append((major, float(sum(alike.number for alike in those))))
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
