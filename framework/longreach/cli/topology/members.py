"""Who is accepted where, and what each may do: the description's meaning, as values. Pure."""

from __future__ import annotations

from typing import NamedTuple

from longreach.cli.topology import grants, model
from longreach.cli.topology.grants import Grants, Place
from longreach.cli.topology.model import name_of, regions_of
from longreach.cli.topology.patterns import common, touched
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import encode_token

LEAVES = "leaves"


class Member(NamedTuple):
    """Somebody with credentials.

    Attributes:
        kind: ``nodes``, ``callers``, ``gateways``, ``operators``, or ``leaves``: the link of an edge.
        key: the name of the table; of a leaf link, the edge's.
        namespace: the account.
        places: the regions and edges whose brokers accept it; everywhere else it does not exist.
        grants: what it may publish and subscribe.
    """

    kind: str
    key: str
    namespace: str
    places: tuple[str, ...]
    grants: Grants

    @property
    def connections(self) -> tuple[str, ...]:
        """What its credentials are good for: a link's for no client, a client's for no leaf node."""
        return ("LEAFNODE",) if self.kind == LEAVES else ("STANDARD", "WEBSOCKET")

    @property
    def id(self) -> str:
        """A name that no other member has, and that can be a file's."""
        return (
            f"{self.kind}/{self.key}" if self.kind != LEAVES else f"{self.kind}/{self.key}-{self.namespace}"
        )


def members(made: model.Description) -> list[Member]:
    """All who have credentials, the links of edges last."""
    users = [_member(made, kind, key) for kind, key in made.users()]
    return users + [
        link
        for edge in made.edges
        for namespace in made.namespaces
        if (link := _leaf(made, edge, namespace, users)) is not None
    ]


def accepted_at(made: model.Description, key: tuple[str, str]) -> tuple[str, ...]:
    """The places whose brokers accept a user, home first.

    A node belongs to one region, and what is at an edge is where the edge is; anybody else may connect
    wherever its calls may be handled, and where the description says.
    """
    user = made.users()[key]
    more = user.connect
    if more is None:
        alone = isinstance(user, model.Node) or user.at in made.edges
        more = () if alone else tuple(region for region in regions_of(user) if region in made.regions)
    return tuple(dict.fromkeys((user.at, *more)))


def place(made: model.Description, namespace: str, region: str) -> Place:
    """A namespace in a region, with the nodes that serve there."""
    owners = {}
    for key, server in made.servers.items():
        nodes = [node for node in server.nodes if made.nodes[node].at == region]
        if server.namespace == namespace and nodes:
            owners[name_of(key, server)] = tuple(
                encode_token(name_of(node, made.nodes[node])) for node in nodes
            )
    return Place(namespace, region, owners)


def served_by(made: model.Description, node: str) -> tuple[str, ...]:
    """The names that a node (its table's name) owns."""
    return tuple(name_of(key, server) for key, server in made.servers.items() if node in server.nodes)


def used_by(user: model.Caller | model.Gateway) -> list[grants.Use]:
    """What may be used, one for each server."""
    found: dict[str, dict[str, None]] = {}
    for item in user.may:
        use = grants.tails(item)
        found.setdefault(use.server, {}).update(dict.fromkeys(use.tails))
    return [grants.Use(server, (">",) if ">" in tails else tuple(tails)) for server, tails in found.items()]


def _member(made: model.Description, kind: str, key: str) -> Member:
    user = made.users()[kind, key]
    total = Grants()
    for region in regions_of(user):
        total = total + _in_region(made, user, name_of(key, user), key, region)
    return Member(kind, key, user.namespace, accepted_at(made, (kind, key)), total)


def _in_region(
    made: model.Description,
    user: model.Node | model.Caller | model.Gateway | model.Operator,
    name: str,
    key: str,
    region: str,
) -> Grants:
    here = place(made, user.namespace, region)
    match user:
        case model.Node():
            return grants.node_grants(here, encode_token(name), served_by(made, key))
        case model.Operator():
            return grants.operator_grants(here, name)
        case model.Caller():
            return grants.asker_grants(here, grants.caller(name), used_by(user))
        case model.Gateway():
            asks = grants.asker_grants(here, grants.gateway(name), used_by(user))
            others = [
                name_of(other, each)
                for other, each in made.gateways.items()
                if each.namespace == user.namespace and regions_of(each)[0] == region
            ]
            return asks + grants.gateway_grants(here, name, others, home=region == regions_of(user)[0])


def _leaf(made: model.Description, edge: str, namespace: str, users: list[Member]) -> Member | None:
    """The link of an edge to its hub, for one namespace: it carries what both sides have in common."""
    hub = made.edges[edge].hub
    if not (made.has_account(namespace, edge) and made.has_account(namespace, hub)):
        return None
    tenants = [user for user in users if user.namespace == namespace]
    inside = [user.grants for user in tenants if edge in user.places]
    outside = [user.grants for user in tenants if set(user.places) - {edge}]
    passing = common(
        (subject for grant in inside for subject in grant.publish),
        (_plain(subject) for grant in outside for subject in grant.subscribe),
    )
    # nats-server 2.15 does not tell a leaf of a subscription `a.*` where `a.*` may be published, but does
    # where `a.>` may: at the end of a pattern only, and nobody subscribes to anything below.
    publish = tuple(f"{subject[:-1]}>" if subject.endswith(".*") else subject for subject in passing)
    # Whole: a subscription passes the link as it is, or not at all.
    subscribe = touched(
        (_plain(subject) for grant in inside for subject in grant.subscribe),
        (subject for grant in outside for subject in grant.publish),
    )
    there = Grants(publish, subscribe)
    return Member(LEAVES, edge, namespace, (hub,), there)


def stays(made: model.Description, link: Member) -> tuple[str, ...]:
    """Patterns of what must not pass an edge's link in either direction, for the edge's own broker to refuse.

    All of the edge's own region, where nothing of it may pass: then not even the hub could let it.
    """
    own = f"{ROOT}.{encode_token(link.namespace)}.{encode_token(link.key)}.>"
    passing = common((*link.grants.publish, *link.grants.subscribe), (own,))
    return () if passing else (own,)


def _plain(subject: str) -> str:
    """Without the queue group."""
    return subject.partition(" ")[0]
