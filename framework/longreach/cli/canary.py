"""`longreach canary`: an operator gives a version of a server a share of its calls, or all, or none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.options import SettingsCommand, setting_options

if TYPE_CHECKING:
    from longreach.cli.loop import Course
    from longreach.client.mesh import Mesh

_WHOLE = 100


@click.command(cls=SettingsCommand)
@click.argument("server")
@click.argument("version", required=False)
@click.option(
    "--weight", type=click.IntRange(0, _WHOLE), metavar="PERCENT", help="Its share of calls, 0 to 100."
)
@click.option("--off", is_flag=True, help="No calls: as --weight 0.")
@click.option("--promote", is_flag=True, help="It is no canary any more: as --weight 100.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@setting_options("client")
def canary(
    server: str,
    version: str | None,
    weight: int | None,
    off: bool,
    promote: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Give the nodes of VERSION a share of the calls of SERVER, without restarting anything.

    Start them with `longreach run --canary 0`, so that they take none before. While it takes its share, a
    canary compares its errors with those of the others, and takes itself out of service when it is
    significantly worse. Without a version, or a weight, the present state is shown.
    """
    from longreach.cli.loop import on_mesh, run_loop

    said = [share for share, given in ((weight, weight is not None), (0, off), (_WHOLE, promote)) if given]
    if len(said) > 1:
        raise click.UsageError("--weight, --off and --promote say the same thing differently: give one")
    if said and version is None:
        raise click.UsageError("which version? `longreach canary SERVER` shows those that are live")

    async def ask(mesh: Mesh, _: Course) -> list[dict[str, Any]]:
        if said and version is not None:
            await mesh.canary(server, version, None if said[0] == _WHOLE else said[0])
        rows = await mesh.canaries(server)
        return [row._asdict() for row in rows if version is None or row.version == version]

    rows = run_loop(on_mesh(flags, ask, server=server))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from longreach.cli.tables import print_tables

    print_tables({"canaries": [{**row, "weight": f"{row['weight']} %"} for row in rows]})
