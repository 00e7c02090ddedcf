"""The configuration file of one nats-server. Pure.

Accounts stand in a file of their own beside it, the same for all brokers of a region: that one may change
under a running broker (SIGHUP), this one needs a restart.
"""

from __future__ import annotations

from typing import Any

from longreach.cli.topology import accounts, model
from longreach.cli.topology.configfile import Include, dump
from longreach.cli.topology.members import LEAVES, Member, stays
from longreach.cli.topology.vault import Vault

ACCOUNTS = "accounts.conf"
CONFIG = "nats.conf"
PINGS = {"ping_interval": "2s", "ping_max": 2}
"""A peer that hangs is found in 6 s; with the defaults that takes minutes (docs/topology.md)."""
_MONITORING = "127.0.0.1"
"""It knows no passwords: whoever may see it is on the machine, or comes through a proxy."""
_AUTH_TIMEOUT_S = 5
_TLS_TIMEOUT_S = 5


def broker_file(made: model.Description, name: str, links: list[Member], vault: Vault, root: str) -> str:
    """The configuration of a broker whose files are below `root`."""
    broker = made.brokers[name]
    secure = _tls(made, name, root)
    config: dict[str, Any] = {
        "server_name": name,
        "listen": _at(broker.listen, broker.port),
        "client_advertise": _at(broker.host, broker.port),
        **PINGS,
    }
    if broker.monitor_port is not None:
        config["http"] = f"{_MONITORING}:{broker.monitor_port}"
    if secure is not None:
        config["tls"] = secure
    config["accounts file"] = Include(ACCOUNTS)
    peers = [each for each in made.brokers_at(broker.at) if each != name]
    if peers:
        config["cluster"] = _cluster(made, name, peers, vault, root)
    if broker.at in made.regions and len(made.regions) > 1:
        config["gateway"] = _gateway(made, name, vault, root)
    if broker.at in made.edges:
        config["leafnodes"] = {"remotes": _remotes(made, name, links, vault, root)}
    elif any(edge.hub == broker.at for edge in made.edges.values()):
        config["leafnodes"] = {
            "listen": _at(broker.listen, broker.leaf_port),
            "advertise": _at(broker.host, broker.leaf_port),
            "tls": _between(made, name, root),
        }
    return dump(config)


def client_urls(made: model.Description, places: tuple[str, ...]) -> list[str]:
    """Where clients that are accepted at `places` connect, in their order."""
    scheme = "nats" if made.tls.mode == "off" else "tls"
    return [
        f"{scheme}://{_at(broker.host, broker.port)}"
        for place in places
        for broker in made.brokers_at(place).values()
    ]


def tls_files(made: model.Description, name: str, root: str) -> tuple[str, str, str] | None:
    """The authorities, the certificate chain and the key of a broker; None without TLS."""
    match made.tls.mode:
        case "off":
            return None
        case "files":
            return (
                made.tls.ca,
                made.tls.cert.replace("{broker}", name),
                made.tls.key.replace("{broker}", name),
            )
        case "test":
            own = f"{root}/brokers/{name}"
            return (f"{own}/ca.pem", f"{own}/cert.pem", f"{own}/key.pem")


def _tls(made: model.Description, name: str, root: str) -> dict[str, Any] | None:
    files = tls_files(made, name, root)
    if files is None:
        return None
    return {"ca_file": files[0], "cert_file": files[1], "key_file": files[2], "timeout": _TLS_TIMEOUT_S}


def _between(made: model.Description, name: str, root: str) -> dict[str, Any] | None:
    """Among brokers both sides show a certificate."""
    secure = _tls(made, name, root)
    return None if secure is None else {**secure, "verify": True}


def _cluster(made: model.Description, name: str, peers: list[str], vault: Vault, root: str) -> dict[str, Any]:
    broker = made.brokers[name]
    password = vault.password(f"links/cluster-{broker.at}")
    return {
        "name": broker.at,
        "listen": _at(broker.listen, broker.cluster_port),
        "cluster_advertise": _at(broker.host, broker.cluster_port),
        **PINGS,
        "authorization": _login("broker", password),
        "tls": _between(made, name, root),
        "routes": [
            f"nats://broker:{password}@{_at(made.brokers[peer].host, made.brokers[peer].cluster_port)}"
            for peer in peers
        ],
    }


def _gateway(made: model.Description, name: str, vault: Vault, root: str) -> dict[str, Any]:
    broker = made.brokers[name]
    password = vault.password("links/gateway")
    others = [region for region in made.regions if region != broker.at]
    return {
        "name": broker.at,
        "listen": _at(broker.listen, broker.gateway_port),
        "advertise": _at(broker.host, broker.gateway_port),
        "reject_unknown_cluster": True,
        "authorization": _login("broker", password),
        "tls": _between(made, name, root),
        "gateways": [
            {
                "name": region,
                "urls": [
                    f"nats://broker:{password}@{_at(each.host, each.gateway_port)}"
                    for each in made.brokers_at(region).values()
                ],
            }
            for region in others
        ],
    }


def _remotes(
    made: model.Description, name: str, links: list[Member], vault: Vault, root: str
) -> list[dict[str, Any]]:
    edge = made.brokers[name].at
    hub = made.brokers_at(made.edges[edge].hub).values()
    remotes = []
    for link in links:
        if link.kind != LEAVES or link.key != edge:
            continue
        seed = accounts.credentials(made, link, vault).seed
        kept = list(stays(made, link)) or None
        remotes.append(
            {
                "urls": [f"nats://{_at(each.host, each.leaf_port)}" for each in hub],
                "account": accounts.account_name(made, link.namespace, vault),
                "nkey": seed,
                "credentials": None if seed else f"{root}/brokers/{name}/{leaf_creds(link)}",
                "deny_imports": kept,
                "deny_exports": kept,
                "tls": _tls(made, name, root),
            }
        )
    return remotes


def leaf_creds(link: Member) -> str:
    """The file with an edge's credentials for one namespace."""
    return f"leaf-{link.namespace}.creds"


def _login(user: str, password: str) -> dict[str, Any]:
    return {"user": user, "password": password, "timeout": _AUTH_TIMEOUT_S}


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
