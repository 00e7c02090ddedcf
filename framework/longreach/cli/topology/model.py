"""What a description says: one frozen struct for each kind of table."""

from __future__ import annotations

from typing import Literal

import msgspec

CLIENT_PORT, CLUSTER_PORT, GATEWAY_PORT, LEAF_PORT = 4222, 6222, 7222, 7422


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all tables share: no key is unknown."""


class Region(Entry, frozen=True, kw_only=True):
    """A failure and residency domain; regions are joined by gateways.

    Args:
        cloud: where it is, for readers.
    """

    cloud: str = ""


class Edge(Entry, frozen=True, kw_only=True):
    """A region of its own at the end of a leaf link: it goes on alone when the link is cut.

    Args:
        hub: the region that it is linked to.
        cloud: where it is, for readers.
    """

    hub: str
    cloud: str = ""


class Broker(Entry, frozen=True, kw_only=True):
    """One nats-server.

    Args:
        at: its region or edge.
        host: the name by which all others reach it.
        listen: the address that it listens on.
        port: for clients.
        cluster_port: for the brokers of its region.
        gateway_port: for the brokers of other regions.
        leaf_port: for edges.
        monitor_port: for monitoring over HTTP, on the loopback address; None: none.
    """

    at: str
    host: str
    listen: str = "0.0.0.0"  # noqa: S104 - what a broker is for; a description may say otherwise
    port: int = CLIENT_PORT
    cluster_port: int = CLUSTER_PORT
    gateway_port: int = GATEWAY_PORT
    leaf_port: int = LEAF_PORT
    monitor_port: int | None = None


class Tls(Entry, frozen=True, kw_only=True):
    """How connections are encrypted.

    Args:
        mode: ``test``: an authority and certificates of our own making; ``files``: those that are named here;
            ``off``: plain text, on loopback addresses only.
        ca: the authorities to trust, for `files`.
        cert: a broker's certificate chain; ``{broker}`` in it is the broker's name.
        key: its private key, likewise.
    """

    mode: Literal["test", "files", "off"]
    ca: str = ""
    cert: str = ""
    key: str = ""


class Namespace(Entry, frozen=True, kw_only=True):
    """A tenant: a NATS account.

    Args:
        regions: where the account exists at all; None: on every broker.
    """

    regions: tuple[str, ...] | None = None


class Server(Entry, frozen=True, kw_only=True):
    """A name that nodes serve.

    Args:
        nodes: who owns the name; nobody else can announce it or hear its requests.
        name: what it is called, where that is not the table's name: two tenants may use one name.
        namespace: whose it is.
        tools: what it declares; then grants of other tools are refused as slips.
        prompts: likewise.
    """

    nodes: tuple[str, ...]
    name: str | None = None
    namespace: str = "default"
    tools: tuple[str, ...] | None = None
    prompts: tuple[str, ...] | None = None


class User(Entry, frozen=True, kw_only=True):
    """Whoever connects.

    Args:
        at: the region or edge whose brokers it connects to first.
        name: what the mesh calls it, where that is not the table's name.
        namespace: its tenant.
        connect: further regions whose brokers take it. None: those of `regions`.
    """

    at: str
    name: str | None = None
    namespace: str = "default"
    connect: tuple[str, ...] | None = None


class Node(User, frozen=True, kw_only=True):
    """A node; what it serves is said by the servers.

    Args:
        run: ``module:server`` of what it hosts, for its context.
    """

    run: tuple[str, ...] = ()


class Caller(User, frozen=True, kw_only=True):
    """A client.

    Args:
        may: what it may use: ``server``, ``server.tool``, ``server/prompts/name``, ``server/prompts``,
            ``server/resources`` or ``server/tools``.
        regions: where its calls may be handled, home first; None: in `at`.
    """

    may: tuple[str, ...]
    regions: tuple[str, ...] | None = None


class Gateway(User, frozen=True, kw_only=True):
    """A gateway of MCP over HTTP: it asks for callers of its own.

    Args:
        may: what it may offer, as for callers.
        regions: where calls may be handled, home first; None: in `at`.
        settings: further settings of its context, such as ``port``.
    """

    may: tuple[str, ...]
    regions: tuple[str, ...] | None = None
    settings: dict[str, str | int | bool | list[str]] = {}


class Operator(User, frozen=True, kw_only=True):
    """Somebody who drains nodes and sees everything that is up; it calls nothing.

    Args:
        regions: whose nodes; None: those in `at`.
    """

    regions: tuple[str, ...] | None = None


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """A whole topology."""

    name: str
    credentials: Literal["nkeys", "jwt"] = "nkeys"
    tls: Tls
    regions: dict[str, Region]
    edges: dict[str, Edge]
    brokers: dict[str, Broker]
    namespaces: dict[str, Namespace]
    servers: dict[str, Server]
    nodes: dict[str, Node]
    callers: dict[str, Caller]
    gateways: dict[str, Gateway]
    operators: dict[str, Operator]

    def brokers_at(self, place: str) -> dict[str, Broker]:
        """The brokers of a region or edge."""
        return {name: broker for name, broker in self.brokers.items() if broker.at == place}

    def has_account(self, namespace: str, place: str) -> bool:
        """Whether the tenant exists on the brokers of a region or edge."""
        regions = self.namespaces[namespace].regions
        return regions is None or place in regions

    def users(self) -> dict[tuple[str, str], Node | Caller | Gateway | Operator]:
        """Everybody who connects, by kind and table name."""
        kinds = {
            "nodes": self.nodes,
            "callers": self.callers,
            "gateways": self.gateways,
            "operators": self.operators,
        }
        return {(kind, name): user for kind, users in kinds.items() for name, user in users.items()}  # type: ignore[attr-defined]


def name_of(key: str, entry: Node | Caller | Gateway | Operator | Server) -> str:
    """What the mesh calls it."""
    return entry.name if entry.name is not None else key


def regions_of(user: Node | Caller | Gateway | Operator) -> tuple[str, ...]:
    """The regions whose subjects the user's permissions name, home first."""
    if isinstance(user, Node) or user.regions is None:
        return (user.at,)
    return user.regions
