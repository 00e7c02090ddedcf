"""Where a call may go, in order, and why not elsewhere.

Residency filters before anything else decides: a region outside it is never a candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longreach.policy.catalog import Catalog
from longreach.wire.subjects import ANY, instance_target, version_target


class Candidate(NamedTuple):
    """A region, the target token there, and why it stands where it stands."""

    region: str
    to: str
    why: str


class Routes(NamedTuple):
    """The candidates in order, and the regions that are none, with the reason."""

    candidates: tuple[Candidate, ...]
    excluded: tuple[tuple[str, str], ...]


def routes(
    catalog: Catalog,
    server: str,
    *,
    home: str | None = None,
    prefer: Sequence[str] = (),
    residency: frozenset[str] | None = None,
    to: str | None = None,
    node: str | None = None,
    denied: frozenset[str] = frozenset(),
) -> Routes:
    """Order the regions that offer `server`: home, then those preferred, then the others by name.

    Args:
        catalog: who offers what.
        server: the server's name.
        home: asked first.
        prefer: asked next.
        residency: the only regions that may be used; None: any.
        to: the target token; a version's (``v2``) needs an instance of that version.
        node: ``identity.instance``: this node only.
        denied: regions where the broker's permissions forbid it.
    """
    ranks = {region: rank for rank, region in enumerate(prefer, 1)}
    if home is not None:
        ranks[home] = 0
    candidates: dict[str, Candidate] = {}
    excluded: dict[str, str] = {}
    for instance in catalog.of_server(server):
        region = instance.region
        reason = None
        if residency is not None and region not in residency:
            reason = "outside the residency"
        elif region in denied:
            reason = "the broker's permissions forbid it"
        elif node is not None and node != f"{instance.identity}.{instance.instance}":
            reason = f"node {node} is not there"
        elif to is not None and to.startswith("v") and version_target(instance.version) != to:
            reason = f"no instance of version {to}"
        if reason is not None:
            excluded[region] = reason
        elif region not in candidates:
            why = "home" if ranks.get(region) == 0 else "preferred" if region in ranks else "offers it"
            target = instance_target(instance.instance) if node is not None else to or ANY
            candidates[region] = Candidate(region, target, why)
    last = len(ranks) + 1
    ordered = sorted(candidates.values(), key=lambda c: (ranks.get(c.region, last), c.region))
    return Routes(
        tuple(ordered), tuple((region, why) for region, why in excluded.items() if region not in candidates)
    )
