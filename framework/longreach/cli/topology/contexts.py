"""Settings files for nodes, callers, gateways and operators: what `--config` takes as it is. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from longreach.cli.topology import model
from longreach.cli.topology.brokers import client_urls
from longreach.cli.topology.members import accepted_at, used_by
from longreach.cli.topology.model import name_of, regions_of

CONTEXT = "longreach.toml"
CA, CREDS, SEED, STATE_KEYS = "ca.pem", "user.creds", "user.nk", "state.keys"


def context(made: model.Description, kind: str, key: str) -> str:
    """The settings of a user; relative paths in it are relative to its folder."""
    user = made.users()[kind, key]
    broker = _broker(made, kind, key)
    name = name_of(key, user)
    if isinstance(user, model.Node):
        run = {"servers": list(user.run)} if user.run else {}
        mine = {"identity": name, "namespace": user.namespace, "region": user.at}
        shared = {**mine, **broker, "state_keys_file": STATE_KEYS}
        return _dump("node", {**run, **shared}) + ("" if run else "\n" + _dump("bridge", shared))
    regions = regions_of(user)
    place: dict[str, Any] = {
        "namespace": user.namespace,
        "region": regions[0],
        "prefer": list(regions[1:]) or None,
        "residency": list(regions),
    }
    match user:
        case model.Gateway():
            only = [use.server for use in used_by(user)] or None
            return _dump(
                "gateway", {"gateway_id": name, **place, "only_servers": only, **broker, **user.settings}
            )
        case model.Caller():
            only = [use.server for use in used_by(user)] or None
            shared = {"caller": name, **place, "only_servers": only, **broker}
            return f"{_dump('client', shared)}\n{_dump('stdio', shared)}"
        case model.Operator():
            return _dump("client", {"caller": name, **place, **broker})


def _broker(made: model.Description, kind: str, key: str) -> dict[str, Any]:
    ca = {"off": None, "test": CA, "files": made.tls.ca}[made.tls.mode]
    return {
        "nats": client_urls(made, accepted_at(made, (kind, key))),
        "creds": CREDS if made.credentials == "jwt" else None,
        "nkey_seed_file": SEED if made.credentials == "nkeys" else None,
        "tls_ca": ca,
    }


def _dump(table: str, values: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}\n" for key, value in values.items() if value is not None]
    return "".join([f"[{table}]\n", *lines])


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
