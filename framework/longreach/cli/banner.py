"""What `longreach run` says once it serves: where it is, what it offers, and a line to try.

Plain text, with colours where somebody is looking: a node lives long, and a library for tables would stay
in its memory for as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from longreach.cli.examples import easiest, example_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from longreach.actor.server import Server
    from longreach.actor.spec import OfferKind
    from longreach.node.node import Node

_SHOWN_TOOLS = 8


class Serving(msgspec.Struct, frozen=True):
    """What there is to say about a node that serves.

    Attributes:
        node: ``identity.instance``.
        region: where it is.
        url: the broker, without credentials.
        embedded: whether it is the embedded one.
        servers: name and version, the names of the tools, and what else there is.
        example: a line for a shell.
    """

    node: str
    region: str
    url: str
    embedded: bool
    servers: list[tuple[str, list[str], str]]
    example: str | None


def describe_node(node: Node, flags: Sequence[str]) -> Serving:
    """What there is to say about `node`.

    Args:
        node: it serves.
        flags: how others reach it, for the example, as quoted shell words.
    """
    tools = [
        (f"{server.name}.{name}", spec.definition)
        for server in node.servers
        for name, spec in server.tools.items()
    ]
    shown = easiest(tools)
    return Serving(
        node=node.name,
        region=node.region,
        url=node.url or "none just now",
        embedded=node.embedded,
        servers=[
            (f"{server.name} {server.version}", sorted(server.tools), _besides(server))
            for server in node.servers
        ],
        example=example_call(shown[0], shown[1].input_schema, flags) if shown else None,
    )


def banner(serving: Serving, workers: int = 1) -> str:
    """The text; without colours, `click.echo` strips them where nobody is looking."""
    serve = "serves" if workers == 1 else f"and {workers - 1} more serve"
    lines = [f"{click.style('longreach', bold=True)} {serving.node} {serve} in region {serving.region}"]
    kind = " (embedded: this user's other commands find it)" if serving.embedded else ""
    lines.append(_row("broker", serving.url + kind))
    for server, tools, besides in serving.servers:
        more = f", and {len(tools) - _SHOWN_TOOLS} more" if len(tools) > _SHOWN_TOOLS else ""
        offers = [", ".join(tools[:_SHOWN_TOOLS]) + more, besides]
        lines.append(_row("server", f"{server}: {'; '.join(filter(None, offers)) or 'no tools yet'}"))
    if serving.example:
        lines.append(_row("try", click.style(serving.example, fg="green")))
    return "\n".join(lines)


def _besides(server: Server) -> str:
    """What a server offers beside tools: ``2 prompts, 1 resource``; nothing where there is nothing."""
    kinds: tuple[OfferKind, ...] = ("prompt", "resource", "template")
    counts = {kind: len(server.offered(kind)) for kind in kinds}
    return ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items() if count)


def _row(label: str, text: str) -> str:
    return f"  {click.style(f'{label:<7}', dim=True)} {text}"
