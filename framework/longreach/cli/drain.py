"""`longreach drain`: a node finishes its calls, and ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.completing import complete_node
from longreach.cli.options import SettingsCommand, setting_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from longreach.cli.loop import Course
    from longreach.client.info import NodeInfo
    from longreach.client.mesh import Mesh

DEFAULT_WAIT_S = 60.0


@click.command(cls=SettingsCommand)
@click.argument("node", metavar="NODE", shell_complete=complete_node)
@click.option("--wait/--no-wait", default=True, help="Wait until the node is gone; default: wait.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), default=DEFAULT_WAIT_S,
    metavar="SECONDS", help=f"How long to wait; default: {DEFAULT_WAIT_S:g}.",
)  # fmt: skip
@setting_options("client")
def drain(node: str, wait: bool, timeout_s: float, **flags: Any) -> None:
    """Let a node take no more calls, finish those it has, and end.

    NODE is identity.instance, as `longreach ls nodes` shows it; the identity alone where one node has it.
    """
    from longreach.cli.loop import on_mesh, run_loop
    from longreach.errors import CallTimeout

    async def ask(mesh: Mesh, course: Course) -> str:
        name = pick_node(await mesh.nodes(), node)
        left_s = course.call()
        await mesh.ops(name, "drain")
        if not wait:
            return f"{name} drains"
        try:
            async with asyncio.timeout(left_s):
                await _until_gone(mesh, name)
        except TimeoutError:
            raise CallTimeout(f"{name} still drains after {timeout_s:g} s", delivered="yes") from None
        return f"{name} has drained"

    click.echo(run_loop(on_mesh(flags, ask, timeout_s=timeout_s)))


def pick_node(nodes: Sequence[NodeInfo], wanted: str) -> str:
    """The full name of the node that `wanted` means.

    Raises:
        NotFound: none, or more than one.
    """
    from longreach.errors import NotFound

    names = [info.name for info in nodes if wanted in (info.name, info.identity, info.instance)]
    if len(names) == 1:
        return names[0]
    if names:
        raise NotFound(f"{wanted!r} is the identity of {len(names)} nodes; name one: {', '.join(names)}")
    raise NotFound(f"no node is called {wanted!r}; `longreach ls nodes` shows those that are up")


async def _until_gone(mesh: Mesh, name: str) -> None:
    changes = mesh.watch()
    # Looked at first: it may have gone before anybody listened.
    while any(info.name == name for info in await mesh.nodes()):
        await anext(changes)
