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


def complete_prompt(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Prompts that are up and begin so."""
    return [
        CompletionItem(info.qualified, help=info.title)
        for info in _ask(ctx, "prompts")
        if info.qualified.startswith(incomplete)
    ]


def complete_name(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Tools and prompts that are up and begin so, then servers, whose resources have a URI."""
    found = [complete(ctx, parameter, incomplete) for complete in (complete_tool, complete_prompt)]
    return [*found[0], *found[1], *([] if "." in incomplete else complete_server(ctx, parameter, incomplete))]


def complete_server(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Servers that are up and begin so."""
    found = _ask(ctx, "servers")
    return [CompletionItem(info.name, help=info.title) for info in found if info.name.startswith(incomplete)]


def complete_uri(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The URIs of the resources of the server that is named already, if they begin so."""
    server = ctx.params.get("server") or ctx.params.get("name")
    return [
        CompletionItem(info.uri, help=info.title or info.name)
        for info in _ask(ctx, "resources")
        if info.server == server and info.uri.startswith(incomplete)
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
