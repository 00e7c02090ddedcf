"""`longreach run`: a node, or several as workers, until a signal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.endings import EXIT_CODES_HELP, NO_BROKER, OK, TOOL_ERROR, USAGE, ending_of, one_line
from longreach.cli.options import NodeCommand, setting_options

if TYPE_CHECKING:
    from longreach.cli.banner import Serving
    from longreach.node.node import Node
    from longreach.node.settings import NodeSettings
    from longreach.node.worker import Attachment

Found = Mapping[str, Mapping[str, Any]]

_LOOK_EVERY_S = 0.05


@click.command(cls=NodeCommand, epilog=EXIT_CODES_HELP)
@click.argument("servers", metavar="[MODULE:SERVER | FILE.py:SERVER]...", nargs=-1)
@setting_options("node")
def run(servers: tuple[str, ...], **flags: Any) -> int:
    """Start a node that hosts servers, and serve until SIGTERM or SIGINT.

    The first signal drains: running calls may end, new ones go elsewhere. A second one stops at once.
    Without :SERVER, the module's only one is meant. Without --nats, the embedded broker of this user is
    used, and started if there is none. Where the broker is not up yet, the node waits for it.

    Settings come from flags, then from the table [node] of a TOML file, then from the environment.
    """
    from longreach.cli.app import debugging
    from longreach.cli.logs import log_to_stderr
    from longreach.cli.settings import resolve
    from longreach.node.worker import attach

    worker = attach()
    try:
        found = resolve("node", {**flags, "servers": servers}, config=flags["config"])
        cli = found.get("cli", {})
        level = "debug" if debugging() else cli.get("log_level", "info")
        log_to_stderr(cli.get("log_format", "text"), level)
        settings = node_settings(found)
        if not cli.get("servers"):
            raise click.UsageError(
                "name what to run, such as `longreach run module:server`", click.get_current_context()
            )
        if worker is None and cli.get("workers", 1) > 1:
            return _run_workers(found, settings)
        return _run_node(found, settings, worker)
    except Exception as error:
        if worker is None or debugging():
            raise
        return _report_failure(worker, error)


def node_settings(found: Found) -> NodeSettings:
    """The settings of the node, from what `settings.resolve` found.

    Raises:
        ConfigError: one contradicts another.
    """
    from longreach.node.settings import NodeSettings
    from longreach.policy.limits import Limits
    from longreach.transport.options import NatsOptions

    connection = NatsOptions(**found.get("connection", {}))
    limits = Limits(**found.get("limits", {}))
    return NodeSettings(connection=connection, limits=limits, **found.get("node", {}))


def _run_node(found: Found, settings: NodeSettings, worker: Attachment | None) -> int:
    from longreach.cli.loading import load_servers
    from longreach.cli.loop import run_loop
    from longreach.node.node import Node
    from longreach.node.worker import Report

    node = Node(*load_servers(found["cli"]["servers"]), settings=settings)
    code = run_loop(serve_node(node, found, worker))
    if node.failed is not None:
        if worker is None:
            click.echo(f"longreach: the node failed: {one_line(node.failed)}", err=True)
        else:
            worker.report(Report("failed", node.failed))
    return code


async def serve_node(node: Node, found: Found, worker: Attachment | None = None) -> int:
    """Run `node` until a signal or a failure; it says where it is once it serves. The exit code.

    Args:
        node: not started yet.
        found: what `settings.resolve` found.
        worker: the supervisor that it reports to; None: it speaks on standard error.
    """
    from longreach.tasks import TaskSet

    tasks = TaskSet("run")
    tasks.start(_introduce(node, found, worker), name="introduce")
    try:
        return await node.run()
    finally:
        await tasks.close()


async def _introduce(node: Node, found: Found, worker: Attachment | None) -> None:
    """Say where the node is, once it serves."""
    import msgspec

    from longreach.cli.banner import describe_node
    from longreach.cli.reach import reach_flags
    from longreach.node.worker import Report

    while node.state == "starting":  # noqa: ASYNC110 - a node tells nobody of its state
        await asyncio.sleep(_LOOK_EVERY_S)
    if node.state != "serving":
        return
    serving = describe_node(node, reach_flags(found))
    if worker is not None:
        worker.report(Report("serving", serving.node, msgspec.Raw(msgspec.json.encode(serving))))
    else:
        _print_banner(serving, found)


def _print_banner(serving: Serving, found: Found, workers: int = 1) -> None:
    from longreach.cli.banner import banner

    if found.get("cli", {}).get("log_format") != "json":  # there the events say it
        click.echo(banner(serving, workers), err=True)


def _run_workers(found: Found, settings: NodeSettings) -> int:
    from longreach.cli.loop import run_loop
    from longreach.node.workers import check_count

    check_count(found["cli"]["workers"])  # before a broker is started for them
    return run_loop(_supervise(found, settings))


async def _supervise(found: Found, settings: NodeSettings) -> int:
    import msgspec

    from longreach.cli.banner import Serving
    from longreach.node.worker import Report
    from longreach.node.workers import Workers
    from longreach.threads import CHORES, in_thread
    from longreach.transport.embedded import EmbeddedBroker

    # -P, as with the `longreach` script: what is in the working directory must not hide a library.
    words = click.get_current_context().find_root().meta["argv"]
    command = (sys.executable, "-P", "-m", "longreach.cli", *words)
    serving: set[int] = set()
    count = found["cli"]["workers"]

    def reported(number: int, report: Report) -> None:
        before = len(serving)
        if report.kind == "serving":
            serving.add(number)
        if before < count == len(serving):
            _print_banner(msgspec.json.decode(report.details, type=Serving), found, count)

    # Without a URL the broker is ours, so that it does not change hands whenever a worker is restarted.
    embedded = None if settings.connection.urls else await in_thread(CHORES, EmbeddedBroker.find_or_start)
    _share_a_key(settings)
    try:
        workers = Workers(
            count,
            command,
            drain_timeout_s=settings.drain_timeout_s,
            hopeless=frozenset({USAGE, NO_BROKER}),
            on_report=reported,
        )
        ended = await workers.run()
    finally:
        if embedded is not None and embedded.handle is not None:
            await in_thread(CHORES, embedded.handle.stop)
    if ended.code != OK:
        reason = one_line(ended.reason or f"exit code {ended.code}")
        click.echo(f"longreach: the workers cannot be kept up: {reason}", err=True)
    return ended.code if ended.code >= 0 else TOOL_ERROR


def _share_a_key(settings: NodeSettings) -> None:
    """Where nobody configured keys for request states, let the workers have one in common, at least."""
    import os
    import secrets

    from longreach.cli.settings import ENVIRONMENT_PREFIX
    from longreach.policy.sealing import key_line, new_key

    if settings.connection.urls and not settings.state_keys and settings.state_keys_file is None:
        key = new_key(secrets.token_bytes, ephemeral=True)
        os.environ[f"{ENVIRONMENT_PREFIX}STATE_KEYS"] = key_line(key)


def _report_failure(worker: Attachment, error: Exception) -> int:
    """A worker says to its supervisor, and not to the terminal, why it could not start."""
    from longreach.node.worker import Report

    ending = ending_of(error)
    worker.report(Report("failed", ending.line))
    return ending.code
