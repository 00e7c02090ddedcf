"""`longreach gateway`: MCP over HTTP, in front of the mesh, until a signal."""

from __future__ import annotations

from typing import Any

import click

from longreach.cli.endings import EXIT_CODES_HELP, OK
from longreach.cli.options import SettingsCommand, setting_options
from longreach_gateway.settings import TABLE

EXTRA = "gateway"
"""Which extra of the project brings what it needs (`longreach.cli.plugins`)."""


class GatewayCommand(SettingsCommand):
    """A command with the settings of gateways."""

    table = TABLE


@click.command(cls=GatewayCommand, epilog=EXIT_CODES_HELP)
@setting_options(TABLE)
def gateway(**flags: Any) -> int:
    """Serve MCP over HTTP: the whole mesh at /mcp, one server at /mcp/SERVER, until SIGTERM or SIGINT.

    The first signal drains: running requests may end, streams end with their response. A second one stops
    at once. Without --nats, the embedded broker of this user is used. Any number of gateways may run side by
    side behind any balancer.

    Settings come from flags, then from the table [gateway] of a TOML file, then from the environment.
    """
    from longreach.cli.app import debugging
    from longreach.cli.logs import log_to_stderr
    from longreach.cli.loop import GIVE_UP_AFTER_S, run_loop
    from longreach.cli.settings import resolve
    from longreach.client.connect import connect
    from longreach.transport.options import NatsOptions
    from longreach_gateway.serving import serve
    from longreach_gateway.settings import gateway_settings

    found = resolve(TABLE, flags, config=flags["config"])
    cli = found.get("cli", {})
    style = cli.get("log_format", "text")
    log_to_stderr(style, "debug" if debugging() else cli.get("log_level", "info"))
    settings = gateway_settings(found)

    def show(url: str, broker: str | None) -> None:
        if style != "json":
            click.echo(banner(settings.gateway_id, url, broker), err=True)

    async def main() -> None:
        connection = NatsOptions(**found.get("connection", {}))
        await serve(
            connect(
                connection=connection,
                via=settings.gateway_id,
                servers=settings.servers or None,
                wait_s=GIVE_UP_AFTER_S,
                **found.get("client", {}),
            ),
            settings,
            show,
        )

    run_loop(main())
    return OK


def banner(gateway_id: str, url: str, broker: str | None) -> str:
    """What a gateway says once it answers."""
    rows = (
        ("broker", broker or "none just now"),
        ("mesh", click.style(f"{url}/mcp", fg="green")),
        ("server", f"{url}/mcp/<server>"),
        ("health", f"{url}/healthz, {url}/readyz"),
    )
    lines = [f"{click.style('longreach', bold=True)} gateway {gateway_id} answers"]
    lines += [f"  {click.style(f'{label:<7}', dim=True)} {text}" for label, text in rows]
    return "\n".join(lines)
