"""`longreach ls`: what is up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.options import SettingsCommand, setting_options

if TYPE_CHECKING:
    from longreach.client.mesh import Mesh

KINDS = ("servers", "tools", "nodes")
Rows = list[dict[str, Any]]


@click.command(cls=SettingsCommand)
@click.argument("what", type=click.Choice(KINDS), required=False)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: a list, or without WHAT an object of lists."
)
@setting_options("client")
def ls(what: str | None, as_json: bool, **flags: Any) -> None:
    """List what is up: servers, tools, nodes, or all of them.

    The nodes are asked at that moment; those that do not answer are not shown.
    """
    from longreach.cli.loop import open_mesh, run_loop

    kinds = (what,) if what else KINDS

    async def ask() -> dict[str, Rows]:
        async with open_mesh(flags) as mesh:
            await mesh.refresh()
            return {kind: await listing(mesh, kind) for kind in kinds}

    listings = run_loop(ask())
    if as_json:
        click.echo(json.dumps(listings[what] if what else listings, indent=2, ensure_ascii=False))
        return
    from longreach.cli.tables import print_tables

    print_tables(listings)


async def listing(mesh: Mesh, kind: str) -> Rows:
    """The rows of one table, as plain values."""
    if kind == "servers":
        return [
            {
                "name": info.name,
                "title": info.title,
                "versions": list(info.versions),
                "regions": list(info.regions),
                "instances": info.instances,
                "tools": info.tools,
            }
            for info in await mesh.servers()
        ]
    if kind == "tools":
        return [
            {
                "name": info.qualified,
                "title": info.title,
                "description": info.description,
                "annotations": info.annotations,
                "versions": list(info.versions),
                "regions": list(info.regions),
                "digest": info.digest,
            }
            for info in await mesh.tools()
        ]
    return [
        {
            "name": info.name,
            "region": info.region,
            "labels": info.labels,
            "servers": list(info.servers),
            "skew_ms": info.skew_ms,
        }
        for info in await mesh.nodes()
    ]
