"""`longreach stdio`: the mesh as an MCP server on standard input and output."""

from __future__ import annotations

from typing import Any

import click

from longreach.cli import values
from longreach.cli.endings import EXIT_CODES_HELP, OK
from longreach.cli.options import SettingsCommand, setting_options
from longreach.cli.settings import add_table, setting

TABLE = "stdio"
EXTRA = "gateway"
"""Which extra of the project brings what it needs (`longreach.cli.plugins`)."""
_OFFER, _LIMITS, _LOG = "What is offered", "Limits", "Logging"
_MAX_LINE = 16 * 1024 * 1024

add_table(TABLE, (
    setting("server", "stdio.server", values.text, "Offer this server under its own names.", "NAME", _OFFER,
            default="the whole mesh"),
    setting("only_servers", "stdio.servers", values.texts, "Of the whole mesh, offer these servers only.",
            "NAME[,NAME]", _OFFER, default="all"),
    setting("only_tags", "stdio.tags", values.texts, "Offer only what has one of these tags.", "TAG[,TAG]",
            _OFFER, "--tag"),
    setting("search_above", "stdio.search_above", values.count,
            "With more tools than this, offer two that search and call them.", "N", _OFFER, default="never"),
    setting("max_line", "stdio.max_line", values.size, "The longest message.", "BYTES", _LIMITS,
            default="16MiB"),
    setting("log_format", "cli.log_format", values.choice("text", "json"), "How events are written.",
            "text|json", _LOG, default="text"),
    setting("log_level", "cli.log_level", values.choice("debug", "info", "warning", "error"),
            "What is written to standard error.", "debug|info|warning|error", _LOG, default="warning"),
), without=("only_servers",))  # fmt: skip


class StdioCommand(SettingsCommand):
    """A command with the settings of stdio."""

    table = TABLE


@click.command(cls=StdioCommand, epilog=EXIT_CODES_HELP)
@setting_options(TABLE)
def stdio(**flags: Any) -> int:
    """Serve MCP on standard input and output, for hosts that start a process; until the input ends.

    Both eras of MCP are spoken: the client's first message decides. Only messages of MCP are written to
    standard output, everything else to standard error. The broker may come later, and go away meanwhile.

    Settings come from flags, then from the table [stdio] of a TOML file, then from the environment.
    """
    from longreach.cli.app import debugging
    from longreach.cli.logs import log_to_stderr
    from longreach.cli.loop import run_loop
    from longreach.cli.plugins import require
    from longreach.cli.settings import resolve
    from longreach.front import Filters
    from longreach.transport.options import NatsOptions
    from longreach_gateway.stdio.late import LateFront
    from longreach_gateway.stdio.serving import serve

    require("mcp")  # imported only when a client of the legacy era comes
    found = resolve(TABLE, flags, config=flags["config"])
    cli, own = found.get("cli", {}), found.get("stdio", {})
    level = "debug" if debugging() else cli.get("log_level", "warning")
    log_to_stderr(cli.get("log_format", "text"), level)
    options = NatsOptions(**found.get("connection", {}))
    filters = Filters.of(servers=own.get("servers", ()), tags=own.get("tags", ()))
    offered = {"server": own.get("server"), "filters": filters, "search_above": own.get("search_above")}

    heard = (own["server"],) if "server" in own else own.get("servers")
    place = {**found.get("client", {}), "servers": heard}

    async def main() -> None:
        await serve(LateFront(options, place, offered), own.get("max_line", _MAX_LINE))

    run_loop(main())
    return OK
