"""Shell completion of the names that only the mesh knows."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

_WAIT_S = 0.5
"""For a broker: somebody waits at a prompt."""


def complete_tool(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Tools that are up and begin so; none where there is no mesh."""
    found = _ask(ctx, "tools")
    return [
        CompletionItem(info.qualified, help=info.title)
        for info in found
        if info.qualified.startswith(incomplete)
    ]


def complete_node(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Nodes that are up and begin so."""
    return [CompletionItem(info.name) for info in _ask(ctx, "nodes") if info.name.startswith(incomplete)]


def _ask(ctx: click.Context, what: str) -> list[Any]:
    from longreach.cli.loop import open_mesh, run_loop
    from longreach.errors import LongreachError

    async def ask() -> list[Any]:
        async with open_mesh(ctx.params, wait_s=_WAIT_S) as mesh:
            found: list[Any] = await getattr(mesh, what)()
            return found

    try:
        return run_loop(ask())
    except (LongreachError, OSError):
        return []
