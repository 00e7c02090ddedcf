"""`longreach describe`: what a tool, a prompt or a resource is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.completing import complete_name, complete_uri
from longreach.cli.endings import printable
from longreach.cli.examples import example_call
from longreach.cli.options import SettingsCommand, setting_options
from longreach.cli.schemas import type_text

if TYPE_CHECKING:
    from longreach.cli.loop import Course
    from longreach.client.info import PromptInfo, ResourceInfo, TemplateInfo, ToolInfo
    from longreach.client.mesh import Mesh

    Info = ToolInfo | PromptInfo | ResourceInfo | TemplateInfo

_NO_DEFAULT = object()


@click.command(cls=SettingsCommand)
@click.argument("name", metavar="SERVER.NAME | SERVER", shell_complete=complete_name)
@click.argument("uri", metavar="[URI]", required=False, shell_complete=complete_uri)
@click.option("--json", "as_json", is_flag=True, help="Print the definitions as JSON.")
@setting_options("client")
def describe(name: str, uri: str | None, as_json: bool, **flags: Any) -> None:
    """Show what a tool or prompt takes and gives back, or what a resource is, and how to use it.

    A resource is named by its server and its URI, or the template of its URI.
    """
    from longreach.cli.loop import on_mesh, run_loop

    async def find(mesh: Mesh, _: Course) -> Sequence[Info]:
        return await (find_named(mesh, name) if uri is None else find_resource(mesh, name, uri))

    server, dot, _ = name.partition(".") if uri is None else (name, ".", "")
    found = run_loop(on_mesh(flags, find, server=server if dot else None))
    if as_json:
        click.echo(json.dumps([definition_json(info) for info in found], indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(describe_info(info) for info in found))


async def find_named(mesh: Mesh, name: str) -> list[Info]:
    """The definitions of a tool or prompt: one, or several where live versions differ.

    Raises:
        ConfigError: `name` is not ``server.name``.
        NotFound: no node offers it; says which names are close.
    """
    from longreach.errors import ConfigError, NotFound

    server, dot, bare = name.partition(".")
    if not (server and dot and bare):
        raise ConfigError(
            f"{name!r} names no tool or prompt: write server.name, as `longreach ls` shows it; a resource is "
            "named by its server and its URI"
        )
    found: list[Info] = [info for info in await mesh.tools(server) if info.name == bare]
    found += [info for info in await mesh.prompts(server) if info.name == bare]
    if not found:
        missing = mesh.catalog.find(server, bare)
        prompts = mesh.catalog.find(server, bare, "prompts")
        best = prompts if "did you mean" in prompts.message else missing
        raise NotFound(best.message, reason=best.missing)
    return found


async def find_resource(mesh: Mesh, server: str, uri: str) -> list[Info]:
    """The definitions of the resource of that URI, or of the template of that text.

    Raises:
        NotFound: no node lists it; it may be read all the same.
    """
    from longreach.errors import NotFound

    found: list[Info] = [info for info in await mesh.resources(server) if info.uri == uri]
    found += [info for info in await mesh.templates(server) if info.uri_template == uri]
    if not found:
        missing = mesh.catalog.find_server(server)
        raise NotFound(
            missing.message
            or f"{server!r} lists no resource {uri}; `longreach ls resources` shows what it lists"
        )
    return found


def definition_json(info: Info) -> dict[str, Any]:
    """A definition as JSON: as MCP has it, under what it is, and where it is offered."""
    import msgspec

    (kind,) = {"tool", "prompt", "resource", "template"} & set(info.__struct_fields__)
    return {
        "server": info.server,
        "versions": info.versions,
        "regions": info.regions,
        "digest": info.digest,
        kind: msgspec.to_builtins(getattr(info, kind)),
    }


def describe_info(info: Info) -> str:
    """A definition, for people."""
    from longreach.client.info import PromptInfo, ToolInfo

    match info:
        case ToolInfo():
            return describe_tool(info)
        case PromptInfo():
            return describe_prompt(info)
        case _:
            return describe_resource(info)


def describe_prompt(info: PromptInfo) -> str:
    """A prompt, for people."""
    rows = []
    for argument in info.arguments:
        text = argument.description if isinstance(argument.description, str) else ""
        rows.append(
            (argument.name, "" if argument.required is True else "(optional)", " ".join(text.split()))
        )
    example = [
        "longreach prompt",
        info.qualified,
        *(f"{argument.name}=..." for argument in info.arguments if argument.required is True),
    ]
    lines = [*_head(info.qualified, info), "", "Arguments:", *(_columns(rows) or ["  none"]), *_places(info)]
    return "\n".join(map(printable, [*lines, "", "Example:", f"  {' '.join(example)}"]))


def describe_resource(info: ResourceInfo | TemplateInfo) -> str:
    """A resource or template, for people."""
    from longreach.client.info import ResourceInfo

    uri = info.uri if isinstance(info, ResourceInfo) else info.uri_template
    lines = [*_head(f"{info.server} {uri}", info), "", f"Name: {info.name}"]
    lines += [f"Kind: {info.mime_type}"] if info.mime_type else []
    if isinstance(info, ResourceInfo) and isinstance(info.resource.size, int):
        lines.append(f"Size: {info.resource.size} bytes")
    example = f"longreach read {info.server} {shlex.quote(uri)}"
    return "\n".join(map(printable, [*lines, *_places(info), "", "Example:", f"  {example}"]))


def _head(name: str, info: Info) -> list[str]:
    described = [f"  {line}".rstrip() for line in (info.description or "").splitlines()]
    return [name + (f" - {info.title}" if info.title else ""), *described]


def _places(info: Info) -> list[str]:
    return ["", f"Versions: {', '.join(info.versions)}   Regions: {', '.join(info.regions)}"]


def describe_tool(info: ToolInfo) -> str:
    """A tool, for people."""
    schema = info.input_schema
    lines = [*_head(info.qualified, info), "", "Arguments:", *(_parameters(schema) or ["  none"])]
    if info.output_schema is not None:
        shape = _parameters(info.output_schema) or [f"  {type_text(info.output_schema, info.output_schema)}"]
        lines += ["", "Result:", *shape]
    hints = ", ".join(f"{name}={json.dumps(value)}" for name, value in info.annotations.items())
    lines += _places(info)
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
    return _columns(rows)


def _columns(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return [f"  {name:<{widths[0]}}  {kind:<{widths[1]}}  {text}".rstrip() for name, kind, text in rows]
