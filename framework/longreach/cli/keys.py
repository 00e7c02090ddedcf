"""`longreach keys`: keys for request states, and for claims of users."""

from __future__ import annotations

import secrets

import click


@click.group()
def keys() -> None:
    """Keys that seal request states (docs/rounds.md), and that sign claims of users (docs/identity.md)."""


@keys.command()
@click.option("--claims", is_flag=True, help="A pair of keys for claims of users instead.")
def new(claims: bool) -> int:
    """Print a fresh key: one line for a --state-keys file.

    Give all nodes of a server the same file. Of the keys in it the first one seals and all of them open: to
    renew, add the new key as the last line everywhere, then move it to the top, then drop the old one.

    With --claims, a pair: the private line is for the gateways' --claims-key file, the public one for the
    --claims-keys file of all nodes. To renew, give the nodes the new public line first, beside the old one.
    """
    if claims:
        from longreach.policy.claims import new_pair

        private, public = new_pair(secrets.token_bytes)
        click.echo(f"# gateways, --claims-key: keep it secret\n{private.line}")
        click.echo(f"# nodes, --claims-keys\n{public.line}")
        return 0
    from longreach.policy.sealing import key_line, new_key

    click.echo(key_line(new_key(secrets.token_bytes)))
    return 0
