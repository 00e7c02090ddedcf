"""`longreach subject`: the subjects of a tool, and what the broker has to permit for it. Asks nobody."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from longreach.cli.options import SettingsCommand, setting_options

if TYPE_CHECKING:
    from longreach.cli.topology.grants import Grants, Place


class Names(NamedTuple):
    """Who and what it is about, as names, not tokens; no tool: all of the server."""

    namespace: str
    region: str
    server: str
    tool: str | None
    caller: str | None


@click.command(cls=SettingsCommand)
@click.argument("name", metavar="SERVER[.TOOL]")
@click.option("--identity", metavar="NAME", help="The node's credentials; for its permissions.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@setting_options("client")
def subject(name: str, identity: str | None, as_json: bool, **flags: Any) -> None:
    """Print the subjects of a tool, and the permissions that callers and nodes need for it.

    Nobody is asked: the names need not exist. Region and caller are those of --region and --as, and --version
    names one version, whose major number is asked for.
    """
    from longreach.cli.settings import resolve
    from longreach.wire.names import check_server_name

    place = resolve("client", flags, config=flags.get("config")).get("client", {})
    server, _, tool = name.partition(".")
    region = place.get("region", "local")
    names = Names(
        place.get("namespace", "default"),
        region,
        check_server_name(server),
        tool or None,
        place.get("caller"),
    )
    about = {
        "request": request_subject(names, place.get("version")),
        "caller": caller_grants(names)._asdict(),
        "node": node_grants(names, identity or "IDENTITY")._asdict(),
    }
    click.echo(json.dumps(about, indent=2) if as_json else _page(about, names))


def request_subject(names: Names, version: str | None = None) -> str:
    """Where a call of the tool is published; for a whole server, the pattern of all its requests."""
    from longreach.wire.subjects import ANY, version_target
    from longreach.wire.tokens import encode_token

    to = ANY if version is None else version_target(version)
    method = f"tools-call.{encode_token(names.tool)}" if names.tool else ">"
    return f"{_place(names).prefix}.req.{encode_token(names.server)}.{to}.{_asker(names)}.{method}"


def caller_grants(names: Names) -> Grants:
    """The least that a caller needs. Source: docs/binding.md M10.1."""
    from longreach.cli.topology.grants import Use, asker_grants, caller
    from longreach.wire.tokens import encode_token

    what = f"tools-call.{encode_token(names.tool)}" if names.tool else ">"
    return asker_grants(_place(names), caller(names.caller), [Use(names.server, (what,))])


def node_grants(names: Names, identity: str) -> Grants:
    """The least that a node needs to host the server. Source: docs/binding.md M10.1."""
    from longreach.cli.topology import grants
    from longreach.wire.tokens import encode_token

    me = identity if identity == "IDENTITY" else encode_token(identity)
    return grants.node_grants(_place(names), me, [names.server])


def _place(names: Names) -> Place:
    """Where it is; any node may serve there."""
    from longreach.cli.topology.grants import Place

    return Place(names.namespace, names.region, {names.server: ("*",)})


def _asker(names: Names) -> str:
    from longreach.wire.tokens import NONE, encode_optional

    return f"{NONE}.{encode_optional(names.caller)}"


def _page(about: dict[str, Any], names: Names) -> str:
    who = f"caller {names.caller!r}" if names.caller else "a caller without a name (--as)"
    lines = ["request", f"  {about['request']}"]
    for title, key in ((f"{who}, bound to it by --residency {names.region}", "caller"), ("a node", "node")):
        lines += ["", title]
        for verb, subjects in about[key].items():
            lines += [f"  {verb:<9}  {text}" for text in subjects]
    return "\n".join(lines)
