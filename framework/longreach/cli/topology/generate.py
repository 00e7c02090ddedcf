"""All files of a topology, as values: what is written where, and who may read it.

Pure but for chance and time, which are arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from longreach.cli.topology import accounts, brokers, certificates, contexts, model
from longreach.cli.topology.certificates import Issued
from longreach.cli.topology.members import LEAVES, Member, members
from longreach.cli.topology.vault import Vault
from longreach.policy.sealing import key_line, new_key

_END = "-----END CERTIFICATE-----\n"


class File(NamedTuple):
    """What a file holds; a private one is its owner's alone."""

    text: str
    private: bool = True


def generate(made: model.Description, vault: Vault, *, root: str, now: datetime) -> dict[str, File]:
    """All files but the vault's, by path below the folder.

    Args:
        made: checked.
        vault: what stays from one generation to the next; new secrets are put into it.
        root: where the brokers' files will be: nats-server takes absolute paths.
        now: when new test certificates begin.
    """
    everybody = members(made)
    files: dict[str, File] = {}
    places = {
        place: accounts.accounts_file(made, place, everybody, vault) for place in (*made.regions, *made.edges)
    }
    for name, broker in made.brokers.items():
        folder = f"brokers/{name}"
        files[f"{folder}/{brokers.CONFIG}"] = File(brokers.broker_file(made, name, everybody, vault, root))
        files[f"{folder}/{brokers.ACCOUNTS}"] = File(places[broker.at])
        if made.credentials == "jwt":
            files |= {
                f"{folder}/{brokers.leaf_creds(link)}": File(
                    accounts.credentials(made, link, vault).creds or ""
                )
                for link in everybody
                if link.kind == LEAVES and link.key == broker.at
            }
        if made.tls.mode == "test":
            files |= _certificates(made, name, vault, now)
    for member in everybody:
        if member.kind != LEAVES:
            files |= _user(made, member, vault, now)
    files |= _credentials("system", accounts.system_credentials(made, vault))
    return files


def _user(made: model.Description, member: Member, vault: Vault, now: datetime) -> dict[str, File]:
    files = _credentials(member.id, accounts.credentials(made, member, vault))
    files[f"{member.id}/{contexts.CONTEXT}"] = File(contexts.context(made, member.kind, member.key), False)
    if made.tls.mode == "test":
        files[f"{member.id}/{contexts.CA}"] = File(_authority(made, vault, now).cert, False)
    if member.kind == "nodes":
        group = _sharing(made, member.key)
        keys = vault.text(f"state/{group}.keys", lambda: key_line(new_key(vault.random_bytes)) + "\n")
        files[f"{member.id}/{contexts.STATE_KEYS}"] = File(keys)
    return files


def _credentials(folder: str, given: accounts.Credentials) -> dict[str, File]:
    if given.creds is not None:
        return {f"{folder}/{contexts.CREDS}": File(given.creds)}
    return {f"{folder}/{contexts.SEED}": File(f"{given.seed}\n")}


def _certificates(made: model.Description, name: str, vault: Vault, now: datetime) -> dict[str, File]:
    host = made.brokers[name].host
    authority = _authority(made, vault, now)

    def new() -> Issued:
        return certificates.new_certificate(authority, name, [host], now)

    issued = _kept(vault, f"tls/{name}-{host}", new, now, authority.cert)
    folder = f"brokers/{name}"
    return {
        f"{folder}/ca.pem": File(authority.cert, False),
        f"{folder}/cert.pem": File(issued.cert, False),
        f"{folder}/key.pem": File(issued.key),
    }


def _authority(made: model.Description, vault: Vault, now: datetime) -> Issued:
    return _kept(vault, "tls/authority", lambda: certificates.new_authority(made.name, now), now)


def _kept(
    vault: Vault, name: str, make: Callable[[], Issued], now: datetime, issuer: str | None = None
) -> Issued:
    """A certificate and key of the vault; they are made together, and anew before they end."""
    both = vault.text(
        f"{name}.pem",
        lambda: "\n".join(make()),
        lambda text: certificates.is_good(text.partition(_END)[0] + _END, now, issuer),
    )
    cert, _, key = both.partition(_END)
    return Issued(cert + _END, key.lstrip())


def _sharing(made: model.Description, node: str) -> str:
    """The nodes that share servers, directly or through others, share state keys: the first one's name."""
    group = {node}
    while True:
        more = {
            other for server in made.servers.values() if group & set(server.nodes) for other in server.nodes
        }
        if more <= group:
            return min(group)
        group |= more
