"""What of a description must fit together. Each refusal says where, and what to do."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable

from longreach.cli.topology import grants, model
from longreach.cli.topology.model import name_of, regions_of
from longreach.cli.topology.reading import Text
from longreach.errors import DeclarationError
from longreach.policy.exposure import Exposure, refuse_exposure
from longreach.wire.names import check_server_name

_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # what a node may be set to
RESERVED = ("SYS", "$G", "$SYS")
_TLS_FILES = ("ca", "cert", "key")


def check(made: model.Description, where: Text) -> model.Description:
    """The description, if its parts fit together.

    Raises:
        ConfigError: they do not.
    """
    _places(made, where)
    _brokers(made, where)
    _tls(made, where)
    _namespaces(made, where)
    _servers(made, where)
    _users(made, where)
    _uses(made, where)
    _gateways(made, where)
    return made


def _places(made: model.Description, where: Text) -> None:
    if not made.regions:
        raise where.wrong(("regions",), "there is no region: write [regions.NAME]")
    for name, edge in made.edges.items():
        if name in made.regions:
            raise where.wrong(("edges", name), "is a region too; give the edge a name of its own")
        _known(where, ("edges", name, "hub"), edge.hub, made.regions, "region")
        if not made.brokers_at(edge.hub):
            raise where.wrong(("edges", name, "hub"), f"region {edge.hub!r} has no broker to link to")
    for kind, names in (("regions", made.regions), ("edges", made.edges)):
        for name in names:
            if not made.brokers_at(name):
                raise where.wrong((kind, name), f'has no broker: write [brokers.NAME] with at = "{name}"')


def _brokers(made: model.Description, where: Text) -> None:
    taken: dict[tuple[str, int], str] = {}
    for name, broker in made.brokers.items():
        _known(where, ("brokers", name, "at"), broker.at, {**made.regions, **made.edges}, "region or edge")
        for key in ("host", "listen"):
            if not _HOST.fullmatch(getattr(broker, key)):
                raise where.wrong(("brokers", name, key), "is no host: a name or an address, without a port")
        for key in ("port", "cluster_port", "gateway_port", "leaf_port", "monitor_port"):
            port = getattr(broker, key)
            if port is None:
                continue
            if not 0 < port < 2**16:
                raise where.wrong(("brokers", name, key), f"{port} is no port: 1 to 65535")
            other = taken.setdefault((broker.host, port), f"{name}.{key}")
            if other != f"{name}.{key}":
                raise where.wrong(("brokers", name, key), f"port {port} of {broker.host} is {other} already")


def _tls(made: model.Description, where: Text) -> None:
    if made.tls.mode == "files":
        for key in _TLS_FILES:
            if not getattr(made.tls, key):
                raise where.wrong(("tls", key), "the file is missing: mode files needs ca, cert and key")
    elif any(getattr(made.tls, key) for key in _TLS_FILES):
        raise where.wrong(("tls", "mode"), 'ca, cert and key are for mode = "files"')
    if made.tls.mode == "off":
        for name, broker in made.brokers.items():
            if not _is_loopback(broker.host) or not _is_loopback(broker.listen):
                raise where.wrong(
                    ("brokers", name),
                    f"plain text is for loopback addresses only, host and listen, not {broker.host} and "
                    f'{broker.listen}: write [tls] with mode = "files" or "test"',
                )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _namespaces(made: model.Description, where: Text) -> None:
    for name, namespace in made.namespaces.items():
        if not _NAME.fullmatch(name) or set(name) <= {"."} or name == "_":
            raise where.wrong(
                ("namespaces", name), "cannot be a namespace: 1 to 64 of letters, digits, '_', '-' and '.'"
            )
        if name in RESERVED:
            raise where.wrong(("namespaces", name), "is a name of the broker's own; take another")
        for region in namespace.regions or ():
            _known(
                where,
                ("namespaces", name, "regions"),
                region,
                {**made.regions, **made.edges},
                "region or edge",
            )


def _servers(made: model.Description, where: Text) -> None:
    owners: dict[tuple[str, str], str] = {}
    for key, server in made.servers.items():
        try:
            check_server_name(name_of(key, server))
        except DeclarationError as error:
            raise where.wrong(("servers", key), str(error)) from None
        other = owners.setdefault((server.namespace, name_of(key, server)), key)
        if other != key:
            raise where.wrong(("servers", key), f"is the same name in the same namespace as servers.{other}")
        if not server.nodes:
            raise where.wrong(("servers", key, "nodes"), "nobody owns the name: list its nodes")
        for node in server.nodes:
            _known(where, ("servers", key, "nodes"), node, made.nodes, "node")
            if made.nodes[node].namespace != server.namespace:
                raise where.wrong(("servers", key, "nodes"), f"node {node!r} is of another namespace")


def _users(made: model.Description, where: Text) -> None:
    names: dict[tuple[str, str, str], str] = {}
    places = {**made.regions, **made.edges}
    for (kind, key), user in made.users().items():
        _known(where, (kind, key, "at"), user.at, places, "region or edge")
        asks = (
            "via" if isinstance(user, model.Gateway) else "node" if isinstance(user, model.Node) else "caller"
        )
        other = names.setdefault((asks, user.namespace, name_of(key, user)), f"{kind}.{key}")
        if other != f"{kind}.{key}":
            raise where.wrong((kind, key), f"has the same name in the same namespace as {other}")
        name = name_of(key, user)
        if not name or (isinstance(user, model.Node) and not _NAME.fullmatch(name)):
            raise where.wrong((kind, key, "name"), f"{name!r} cannot be a name of one of the {kind}")
        for field in ("connect", "regions"):
            named = getattr(user, field, None) or ()
            if len(set(named)) != len(named):
                raise where.wrong((kind, key, field), "names something twice")
            for region in named:
                _known(where, (kind, key, field), region, places, "region or edge")
        if not regions_of(user):
            raise where.wrong((kind, key, "regions"), "is empty: name a region, or leave it out")
        for place in dict.fromkeys((user.at, *regions_of(user), *(user.connect or ()))):
            if not made.has_account(user.namespace, place):
                raise where.wrong(
                    (kind, key),
                    f"namespace {user.namespace!r} is not in {place!r}: see namespaces.{user.namespace}",
                )
        _reachable(made, where, kind, key)


def _reachable(made: model.Description, where: Text, kind: str, key: str) -> None:
    """Regions are joined to all others, an edge to its hub alone; what cannot carry a call is refused."""
    user = made.users()[kind, key]
    for region in regions_of(user):
        between = {made.edges[place].hub if place in made.edges else place for place in (user.at, region)}
        for hub in between:
            if not made.has_account(user.namespace, hub):
                raise where.wrong(
                    (kind, key, "regions"),
                    f"calls from {user.at!r} to {region!r} pass {hub!r}, "
                    f"where namespace {user.namespace!r} is not",
                )


def _uses(made: model.Description, where: Text) -> None:
    servers = {(server.namespace, name_of(key, server)): server for key, server in made.servers.items()}
    askers: dict[str, dict[str, model.Caller] | dict[str, model.Gateway]] = {
        "callers": made.callers,
        "gateways": made.gateways,
    }
    for kind, users in askers.items():
        for key, user in users.items():
            path = (kind, key, "may")
            if len(set(user.may)) != len(user.may):
                raise where.wrong(path, "names something twice")
            for item in user.may:
                try:
                    use = grants.tails(item)
                except ValueError as error:
                    raise where.wrong(path, str(error)) from None
                known = [name for namespace, name in servers if namespace == user.namespace]
                _known(where, path, use.server, known, f"server of namespace {user.namespace!r}")
                server = servers[user.namespace, use.server]
                _declared(where, path, item, server)
                if not {made.nodes[node].at for node in server.nodes} & set(regions_of(user)):
                    raise where.wrong(
                        path,
                        f"no node of {use.server!r} is in {', '.join(regions_of(user))}: "
                        f"see regions of {kind}.{key}",
                    )


def _gateways(made: model.Description, where: Text) -> None:
    """Refuse settings with which a gateway would not start: a door for everybody that nobody asked for."""
    for key, gateway in made.gateways.items():
        chosen = gateway.settings
        host = str(chosen.get("host", "localhost"))
        try:
            addresses: tuple[str, ...] = (str(ipaddress.ip_address(host.strip("[]"))),)
        except ValueError:  # a name, which may resolve to something else where the gateway runs
            addresses = ()
        anonymous = chosen.get("anonymous")
        asked = Exposure(
            host,
            addresses,
            checks_tokens="bearer_tokens" in chosen or "issuer" in chosen,
            anonymous=anonymous if isinstance(anonymous, bool) else None,
        )
        refusal = refuse_exposure(asked)
        if refusal is not None:
            raise where.wrong(("gateways", key, "settings"), refusal)


def _declared(where: Text, path: tuple[str, ...], item: str, server: model.Server) -> None:
    """A grant of a tool that the server does not declare is a slip."""
    rest = item.partition("/")[2]
    kind, _, name = rest.partition("/") if rest else ("tools", "", item.partition(".")[2])
    declared = {"tools": server.tools, "prompts": server.prompts}.get(kind)
    if name and declared is not None:
        _known(where, path, name, declared, f"one of the {kind} that the server declares")


def _known(where: Text, path: tuple[str, ...], name: str, names: Iterable[str], what: str) -> None:
    known = list(names)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise where.wrong(path, f"{name!r} is no {what}; {hint}")


def loose_ends(made: model.Description) -> list[str]:
    """What is allowed, and probably not meant."""
    found = []
    for key, server in made.servers.items():
        name = name_of(key, server)
        used = any(
            grants.tails(item).server == name
            for users in (made.callers, made.gateways)
            for user in users.values()
            for item in user.may
            if user.namespace == server.namespace
        )
        if not used:
            found.append(f"servers.{key}: nobody may use it")
    served = {node for server in made.servers.values() for node in server.nodes}
    found += [f"nodes.{node}: it owns no server" for node in made.nodes if node not in served]
    return found
