"""`longreach keys`: keys for request states."""

from __future__ import annotations

import secrets

import click


@click.group()
def keys() -> None:
    """Keys that seal the states of requests of several rounds (docs/rounds.md)."""


@keys.command()
def new() -> int:
    """Print a fresh key: one line for a --state-keys file.

    Give all nodes of a server the same file. Of the keys in it the first one seals and all of them open: to
    renew, add the new key as the last line everywhere, then move it to the top, then drop the old one.
    """
    from longreach.policy.sealing import key_line, new_key

    click.echo(key_line(new_key(secrets.token_bytes)))
    return 0
