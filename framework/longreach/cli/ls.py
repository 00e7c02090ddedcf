"""`longreach ls`: what is up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.options import SettingsCommand, setting_options

if TYPE_CHECKING:
    from longreach.client.info import ResourceInfo, TemplateInfo
    from longreach.client.mesh import Mesh
    from longreach.policy.catalog import Catalog

KINDS = ("servers", "tools", "prompts", "resources", "nodes")
Rows = list[dict[str, Any]]


@click.command(cls=SettingsCommand)
@click.argument("what", type=click.Choice(KINDS), required=False)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: a list, or without WHAT an object of lists."
)
@setting_options("client")
def ls(what: str | None, as_json: bool, **flags: Any) -> None:
    """List what is up: servers, tools, prompts, resources (templates too), nodes, or all of them.

    The nodes are asked at that moment; those that do not answer are not shown.
    """
    from longreach.cli.loop import open_mesh, run_loop

    kinds = (what,) if what else KINDS

    async def ask() -> dict[str, Rows]:
        async with open_mesh(flags) as mesh:
            await mesh.refresh()
            found = {kind: await listing(mesh, kind) for kind in kinds}
            for line in unfetched(mesh.catalog):
                click.echo(line, err=True)
            return found

    listings = run_loop(ask())
    if as_json:
        click.echo(json.dumps(listings[what] if what else listings, indent=2, ensure_ascii=False))
        return
    from longreach.cli.tables import print_tables

    print_tables(listings)


def unfetched(catalog: Catalog) -> list[str]:
    """What the lists lack: of which servers definitions were announced that could not be fetched."""
    lines = []
    for server in sorted(catalog.servers):
        known = [catalog.names.get(digest) for digest in catalog.digests_of(server)]
        withheld = {each for names in known if names is not None for each in names.withheld}
        if withheld:
            text = f"{server}: {len(withheld)} of its definitions could not be fetched"
            lines.append(f"longreach: {text}: its nodes could not send what fits no message of their broker")
    return lines


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
                "prompts": info.prompts,
                "resources": info.resources,
                "templates": info.templates,
                "tags": list(info.tags),
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
                **_offered(info),
            }
            for info in await mesh.tools()
        ]
    if kind == "prompts":
        return [
            {
                "name": info.qualified,
                "title": info.title,
                "description": info.description,
                "arguments": [argument.name for argument in info.arguments],
                **_offered(info),
            }
            for info in await mesh.prompts()
        ]
    if kind == "resources":
        return await resource_rows(mesh)
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


async def resource_rows(mesh: Mesh) -> Rows:
    """Resources, then templates; `template` says which."""
    listed: list[tuple[ResourceInfo | TemplateInfo, str, bool]] = [
        *((info, info.uri, False) for info in await mesh.resources()),
        *((info, info.uri_template, True) for info in await mesh.templates()),
    ]
    return [
        {
            "server": info.server,
            "uri": uri,
            "template": is_template,
            "name": info.name,
            "title": info.title,
            "description": info.description,
            "mime_type": info.mime_type,
            **_offered(info),
        }
        for info, uri, is_template in listed
    ]


def _offered(info: Any) -> dict[str, Any]:
    return {"versions": list(info.versions), "regions": list(info.regions), "digest": info.digest}
