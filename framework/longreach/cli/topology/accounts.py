"""What a region's brokers know of tenants and their users: accounts with users by NKey, or JWTs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from longreach.cli.topology import jwts, model
from longreach.cli.topology.configfile import dump
from longreach.cli.topology.grants import Grants
from longreach.cli.topology.members import Member
from longreach.cli.topology.vault import KeyPair, Vault

SYSTEM = "SYS"
_NOTHING = {"deny": [">"]}
"""An empty list of what is allowed would allow everything."""


class Credentials(NamedTuple):
    """How somebody proves who it is: an NKey seed, or a creds file's text."""

    seed: str | None
    creds: str | None


def accounts_file(made: model.Description, place: str, everybody: Iterable[Member], vault: Vault) -> str:
    """The accounts of the brokers of a region or edge: nobody is in it who is not accepted there."""
    here: dict[str, list[Member]] = {
        namespace: [] for namespace in made.namespaces if made.has_account(namespace, place)
    }
    for member in everybody:
        if place in member.places:
            here[member.namespace].append(member)
    if made.credentials == "jwt":
        return dump(_by_jwt(made, here, vault))
    return dump(_by_nkey(here, vault))


def credentials(
    made: model.Description, member: Member, vault: Vault, expires_at: int | None = None
) -> Credentials:
    """What the member is given; only a JWT can expire, in seconds since the epoch."""
    pair = vault.key("user", member.id)
    if made.credentials == "nkeys":
        return Credentials(pair.seed, None)
    token = jwts.user_token(
        name=member.id,
        subject=pair.public,
        account=_account(vault, member.namespace).public,
        signer=_scope(vault, member),
        expires_at=expires_at,
    )
    return Credentials(None, jwts.creds(token, pair.seed))


def system_credentials(made: model.Description, vault: Vault) -> Credentials:
    """For whoever watches the brokers themselves: the system account."""
    pair = vault.key("user", "system")
    if made.credentials == "nkeys":
        return Credentials(pair.seed, None)
    account = _account(vault, SYSTEM)
    token = jwts.user_token(name="system", subject=pair.public, account=account.public, signer=account)
    return Credentials(None, jwts.creds(token, pair.seed))


def permissions(grants: Grants) -> dict[str, Any]:
    """As nats-server's configuration has them."""
    return {
        "publish": {"allow": list(grants.publish)} if grants.publish else _NOTHING,
        "subscribe": {"allow": list(grants.subscribe)} if grants.subscribe else _NOTHING,
    }


def _by_nkey(here: Mapping[str, list[Member]], vault: Vault) -> dict[str, Any]:
    accounts: dict[str, Any] = {
        namespace: {
            "users": [
                {
                    "nkey": vault.key("user", member.id).public,
                    "allowed_connection_types": member.connections,
                    "permissions": permissions(member.grants),
                }
                for member in tenants
            ]
        }
        for namespace, tenants in here.items()
    }
    accounts[SYSTEM] = {"users": [{"nkey": vault.key("user", "system").public}]}
    return {"accounts": accounts, "system_account": SYSTEM}


def _by_jwt(made: model.Description, here: Mapping[str, list[Member]], vault: Vault) -> dict[str, Any]:
    operator = vault.key("operator", "operator")
    system = _account(vault, SYSTEM)
    preload = {
        system.public: jwts.account_token(name=SYSTEM, subject=system.public, signer=operator, scopes=())
    }
    for namespace, tenants in here.items():
        account = _account(vault, namespace)
        scopes = [
            jwts.Scope(member.id, _scope(vault, member).public, member.grants, member.connections)
            for member in tenants
        ]
        preload[account.public] = jwts.account_token(
            name=namespace, subject=account.public, signer=operator, scopes=scopes
        )
    return {
        "operator": jwts.operator_token(name=made.name, signer=operator, system=system.public),
        "system_account": system.public,
        "resolver": "MEMORY",
        "resolver_preload": preload,
    }


def account_name(made: model.Description, namespace: str, vault: Vault) -> str:
    """What configuration calls an account: its name, or its key."""
    return namespace if made.credentials == "nkeys" else _account(vault, namespace).public


def _account(vault: Vault, namespace: str) -> KeyPair:
    return vault.key("account", f"accounts/{namespace}")


def _scope(vault: Vault, member: Member) -> KeyPair:
    """The signing key whose scope holds the member's permissions: they are the broker's, not in the JWT."""
    return vault.key("account", f"scopes/{member.id}")
