"""`longreach bridge`: an existing MCP server in the mesh, until a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.endings import EXIT_CODES_HELP, OK, TOOL_ERROR, one_line
from longreach.cli.options import SettingsCommand, setting_options
from longreach_bridge.settings import TABLE, BridgeSettings

if TYPE_CHECKING:
    from longreach.actor.server import Server
    from longreach.node.node import Node
    from longreach.node.settings import NodeSettings
    from longreach_bridge.bridge import Bridge
    from longreach_bridge.foreign.channel import Lost

EXTRA = "bridge"
"""Which extra of the project brings what it needs (`longreach.cli.plugins`)."""

_TALKATIVE = ("httpx2", "httpcore2", "mcp.client")
"""They write URLs, messages and headers, which are not for a log; what they mean is in events of ours."""

Found = Mapping[str, Mapping[str, Any]]


class BridgeCommand(SettingsCommand):
    """A command with the settings of bridges."""

    table = TABLE


@click.command(cls=BridgeCommand, epilog=EXIT_CODES_HELP)
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@setting_options(TABLE)
def bridge(command: tuple[str, ...], **flags: Any) -> int:
    """Bring an existing MCP server into the mesh: a process, or --url.

    It may speak MCP of either era. It is kept up: started again when it ends, out of the queue group
    meanwhile, and announced again when what it offers changes. Write -- before the command. The first
    SIGTERM or SIGINT drains and then ends it; a second one stops at once.

    Secrets come from the environment or from files: --env and --env-file for a process, --bearer-token-file,
    --header-env and --header-file for a URL.

    Settings come from flags, then from the table [bridge] of a TOML file, then from the environment.
    """
    from longreach.cli.app import debugging
    from longreach.cli.logs import log_to_stderr
    from longreach.cli.loop import run_loop
    from longreach.cli.settings import resolve
    from longreach_bridge.settings import bridge_settings

    found = resolve(TABLE, {**flags, "command": command}, config=flags["config"])
    cli = found.get("cli", {})
    log_to_stderr(cli.get("log_format", "text"), "debug" if debugging() else cli.get("log_level", "info"))
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return run_loop(_run(found, bridge_settings(found)))


async def _run(found: Found, settings: BridgeSettings) -> int:
    from longreach.errors import ConfigError
    from longreach_bridge.alone import check_alone
    from longreach_bridge.assembly import make_bridge
    from longreach_bridge.foreign.channel import Lost

    chosen, made = _node_settings(found, settings), make_bridge(settings)  # wrong settings, before all else
    if settings.name is not None:  # before anything is started for nothing
        await check_alone(chosen, settings.name)
    async with made as bridge:
        try:
            server = await _connect(bridge)
        except Lost as lost:
            if lost.hopeless:
                raise ConfigError(f"the server cannot be bridged: {lost}") from None
            click.echo(f"longreach: the server cannot be bridged: {one_line(str(lost))}", err=True)
            return TOOL_ERROR
        if server is None:
            return OK
        return await _serve(server, found, settings)


async def _attempt(bridge: Bridge) -> Server | Lost:
    """Connect, and return what is a reason rather than a defect: a task that raises logs a traceback."""
    from longreach_bridge.foreign.channel import Lost

    try:
        return await bridge.connect()
    except Lost as lost:
        return lost


async def _connect(bridge: Bridge) -> Server | None:
    """Connect; None: a signal came first."""
    from longreach import forks
    from longreach.tasks import TaskSet

    tasks = TaskSet("connect")
    connecting = tasks.spawn(_attempt(bridge), name="connect")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        forks.hear(loop, number, connecting.cancel)
    try:
        await asyncio.wait({connecting})
        found = None if connecting.cancelled() else connecting.result()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        await tasks.close()
    if isinstance(found, Exception):
        raise found
    return found


def _node_settings(found: Found, settings: BridgeSettings) -> NodeSettings:
    """The settings of the bridge's node, which says of itself whether it may be one of several."""
    import msgspec

    from longreach.cli.run import node_settings
    from longreach_bridge.alone import LABEL, REPLICA, SINGLE

    chosen = node_settings(found)
    labels = {**chosen.labels, LABEL: REPLICA if settings.stateless else SINGLE}
    return msgspec.structs.replace(chosen, labels=labels)


async def _serve(server: Server, found: Found, settings: BridgeSettings) -> int:
    from longreach.cli.run import serve_node
    from longreach.node.node import Node
    from longreach.tasks import TaskSet
    from longreach_bridge.alone import check_alone

    chosen = _node_settings(found, settings)
    if settings.name is None:
        await check_alone(chosen, server.name)
    node = Node(server, settings=chosen)
    tasks = TaskSet("bridge")
    if not settings.stateless:
        tasks.start(_guard(node), name="stay alone")
    try:
        code = await serve_node(node, found)
    finally:
        await tasks.close()
    if node.failed is not None:
        click.echo(f"longreach: the node failed: {one_line(node.failed)}", err=True)
    return code


async def _guard(node: Node) -> None:
    """Once the node serves, see to it that it stays alone in its group."""
    from longreach_bridge.alone import stay_alone

    while node.state == "starting":  # noqa: ASYNC110 - a node tells nobody of its state
        await asyncio.sleep(0.05)
    await stay_alone(node)
