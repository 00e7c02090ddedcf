"""`longreach describe`: what a tool takes and gives back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.completing import complete_tool
from longreach.cli.endings import printable
from longreach.cli.examples import example_call
from longreach.cli.options import SettingsCommand, setting_options
from longreach.cli.schemas import type_text

if TYPE_CHECKING:
    from longreach.client.info import ToolInfo

_NO_DEFAULT = object()


@click.command(cls=SettingsCommand)
@click.argument("tool", metavar="SERVER.TOOL", shell_complete=complete_tool)
@click.option("--json", "as_json", is_flag=True, help="Print the definitions as JSON.")
@setting_options("client")
def describe(tool: str, as_json: bool, **flags: Any) -> None:
    """Show what a tool takes and gives back, and how to call it."""
    from longreach.cli.loop import open_mesh, run_loop

    async def find() -> list[ToolInfo]:
        async with open_mesh(flags) as mesh:
            return await find_tool(mesh, tool)

    found = run_loop(find())
    if as_json:
        click.echo(json.dumps([definition_json(info) for info in found], indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(describe_tool(info) for info in found))


async def find_tool(mesh: Any, name: str) -> list[ToolInfo]:
    """A tool's definitions: one, or several where live versions differ.

    Raises:
        ConfigError: `name` is not ``server.tool``.
        NotFound: no node offers it; says which names are close.
    """
    from longreach.errors import ConfigError, NotFound

    server, dot, tool = name.partition(".")
    if not (server and dot and tool):
        raise ConfigError(f"{name!r} names no tool: write server.tool, as `longreach ls tools` shows it")
    found = [info for info in await mesh.tools(server) if info.name == tool]
    if not found:
        missing = mesh.catalog.find(server, tool)
        raise NotFound(missing.message, reason=missing.missing)
    return found


def definition_json(info: ToolInfo) -> dict[str, Any]:
    """A tool as JSON: its definition as MCP has it, and where it is offered."""
    import msgspec

    return {
        "server": info.server,
        "versions": info.versions,
        "regions": info.regions,
        "digest": info.digest,
        "tool": msgspec.to_builtins(info.tool),
    }


def describe_tool(info: ToolInfo) -> str:
    """A tool, for people."""
    schema = info.input_schema
    lines = [info.qualified + (f" - {info.title}" if info.title else "")]
    lines += [f"  {line}".rstrip() for line in (info.description or "").splitlines()]
    lines += ["", "Arguments:", *(_parameters(schema) or ["  none"])]
    if info.output_schema is not None:
        shape = _parameters(info.output_schema) or [f"  {type_text(info.output_schema, info.output_schema)}"]
        lines += ["", "Result:", *shape]
    hints = ", ".join(f"{name}={json.dumps(value)}" for name, value in info.annotations.items())
    lines += ["", f"Versions: {', '.join(info.versions)}   Regions: {', '.join(info.regions)}"]
    lines += [f"Hints: {hints}"] if hints else []
    lines += ["", "Example:", f"  {example_call(info.qualified, schema)}"]
    return "\n".join(map(printable, lines))


def _parameters(schema: dict[str, Any]) -> list[str]:
    required = schema.get("required", ())
    rows = []
    for name, value in schema.get("properties", {}).items():
        said = value if isinstance(value, dict) else {}
        default = said.get("default", _NO_DEFAULT)
        kind = type_text(value, schema)
        if default is not _NO_DEFAULT:
            kind += f" = {json.dumps(default, ensure_ascii=False)}"
        elif name not in required:
            kind += " (optional)"
        rows.append((name, kind, " ".join(str(said.get("description", "")).split())))
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return [f"  {name:<{widths[0]}}  {kind:<{widths[1]}}  {text}".rstrip() for name, kind, text in rows]
