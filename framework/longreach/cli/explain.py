"""`longreach explain`: where a call would go, and why not elsewhere. Calls nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.completing import complete_tool
from longreach.cli.endings import EXIT_CODES_HELP, NOT_FOUND, OK
from longreach.cli.options import SettingsCommand, setting_options

if TYPE_CHECKING:
    from longreach.cli.loop import Course
    from longreach.client.mesh import Mesh
    from longreach.client.operating import Explanation


@click.command(cls=SettingsCommand, epilog=EXIT_CODES_HELP)
@click.argument("tool", metavar="SERVER[.TOOL]", shell_complete=complete_tool)
@click.option("--node", metavar="NODE", help="As if this node (identity.instance) and no other were asked.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@setting_options("client")
def explain(tool: str, node: str | None, as_json: bool, **flags: Any) -> int:
    """Show each node that a call of a tool could go to, and the reason why it would, or not.

    The reasons are the policies (--region, --prefer, --residency, --version, --node), what the broker refused
    before, what is known of each route, and what each version offers. SHARE is that of first attempts; the
    others are asked in their order, when those before them refuse or fall silent.
    """
    from longreach.cli.loop import on_mesh, run_loop

    async def ask(mesh: Mesh, _: Course) -> Explanation:
        view = mesh.options(node=node) if node is not None else mesh
        return await view.explain(tool)

    def missing(found: Explanation) -> bool:
        return not found.places

    found = run_loop(on_mesh(flags, ask, server=tool.partition(".")[0], missing=missing))
    if as_json:
        click.echo(json.dumps(as_object(found), indent=2, ensure_ascii=False))
    else:
        _print(found)
    return OK if found.taken else NOT_FOUND


def as_object(found: Explanation) -> dict[str, Any]:
    """What was found, as JSON has it."""
    places = [{**place._asdict(), "taken": place.taken} for place in found.places]
    return {"name": found.name, "missing": found.missing, "places": places}


def _print(found: Explanation) -> None:
    from longreach.cli.tables import print_tables

    if found.missing is not None:
        click.echo(found.missing, err=True)
    rows = [
        {
            **place._asdict(),
            "place": None if place.place is None else str(place.place),
            "share": f"{place.share:.0%}" if place.share else None,
            "breaker": None if place.breaker == "closed" else place.breaker,
            "latency": None if place.latency_ms is None else f"{place.latency_ms:.1f} ms",
        }
        for place in found.places
    ]
    if rows:
        print_tables({"places": rows})
