"""`longreach topology`: write, check and compare what one description of a deployment stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from longreach.cli.endings import EXIT_CODES_HELP, OK

if TYPE_CHECKING:
    from longreach.cli.topology.store import Plan

DEFAULT_FILE, DEFAULT_FOLDER = "topology.toml", "deployed"

_file = click.argument("file", metavar="[FILE]", type=click.Path(dir_okay=False), default=DEFAULT_FILE)
_folder = click.option(
    "--out",
    "folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    default=DEFAULT_FOLDER,
    help=f"Where everything is written, keys included; default: {DEFAULT_FOLDER}.",
)
_root = click.option(
    "--installed-at",
    "root",
    metavar="PATH",
    help="Where the folder will be on the brokers' machines; default: where it is here.",
)


@click.group(epilog=EXIT_CODES_HELP)
def topology() -> None:
    """Brokers, permissions, keys and settings, all made from one description (docs/topology.md).

    FILE is TOML; without one, topology.toml of the working directory is read.
    """


@topology.command()
@_file
@_folder
@_root
def write(file: str, folder: str, root: str | None) -> int:
    """Write all configuration, and say which brokers must be told.

    Keys that are in the folder already are kept; new ones are made. Nothing is sent anywhere.
    """
    from pathlib import Path

    from longreach.cli.topology import store

    plan = store.plan(store.load(Path(file)), Path(folder), root=root)
    store.write(plan, Path(folder))
    _report(plan, folder)
    return OK


@topology.command()
@_file
@_folder
@_root
def diff(file: str, folder: str, root: str | None) -> int:
    """Say what `write` would change, and write nothing."""
    from pathlib import Path

    from longreach.cli.topology import store

    plan = store.plan(store.load(Path(file)), Path(folder), root=root)
    for change in plan.changes:
        click.echo(f"{change.kind:<8} {change.path}")
    _report(plan, folder)
    return OK


@topology.command()
@_file
def check(file: str) -> int:
    """Check a description, and have the real nats-server check what is made of it."""
    import tempfile
    from pathlib import Path

    from longreach.cli.topology import checking, store, validating

    made = store.load(Path(file))
    with tempfile.TemporaryDirectory(prefix="longreach-topology-") as name:
        folder = Path(name)
        store.write(store.plan(made, folder), folder)
        brokers = validating.validate(folder)
    for line in checking.loose_ends(made):
        click.echo(f"note: {line}", err=True)
    click.echo(f"{file} is right; nats-server takes the configuration of {', '.join(brokers)}")
    return OK


@topology.command()
@click.argument("user", metavar="USER")
@_file
@_folder
@click.option(
    "--expires",
    "expires_s",
    metavar="SECONDS",
    type=click.IntRange(min=1),
    required=True,
    help="How long they are good for, from now.",
)
def creds(user: str, file: str, folder: str, expires_s: int) -> int:
    """Print credentials that end, for a user such as callers/alice: a .creds file with a JWT.

    Links read their --creds file again before the JWT in it ends: put new ones in its place in time.
    """
    import time
    from pathlib import Path

    from longreach.cli.topology import store

    made = store.load(Path(file))
    click.echo(store.renew(made, Path(folder), user, int(time.time()) + expires_s), nl=False)
    return OK


def _report(plan: Plan, folder: str) -> None:
    if not plan.changes:
        click.echo(f"nothing changes in {folder}")
        return
    counts = {
        kind: sum(change.kind == kind for change in plan.changes) for kind in ("new", "changed", "gone")
    }
    click.echo(f"{folder}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items() if count))
    if plan.to_restart:
        click.echo(f"restart one after the other: {', '.join(plan.to_restart)}")
    if plan.to_stop:
        click.echo(f"stop: {', '.join(plan.to_stop)}")
    if plan.to_reload:
        click.echo(f"reload (SIGHUP): {', '.join(plan.to_reload)}")
