"""The group of all commands: it knows their names, and imports the one that is asked for.

Here is the one boundary where an error becomes a line on standard error and an exit code.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from longreach import __version__
from longreach.cli.endings import EXIT_CODES_HELP, Ending, ending_of

if TYPE_CHECKING:
    from longreach.cli.plugins import Plugin

PLUGINS = "longreach.commands"
"""Entry points of this group are commands too: the gateway, the bridge, and whatever others bring."""


class Lazy(NamedTuple):
    """A command that is imported when it is used; `help` is shown without importing it."""

    target: str
    help: str


COMMANDS = {
    "run": Lazy("longreach.cli.run:run", "Start a node that hosts servers."),
    "ls": Lazy("longreach.cli.ls:ls", "List what is up: servers, tools, prompts, resources, nodes."),
    "describe": Lazy("longreach.cli.describe:describe", "Show what a tool, prompt or resource is."),
    "call": Lazy("longreach.cli.call:call", "Call a tool and print its result."),
    "explain": Lazy("longreach.cli.explain:explain", "Show where a call would go, and why; calls nothing."),
    "prompt": Lazy("longreach.cli.prompt:prompt", "Fill in a prompt and print it."),
    "read": Lazy("longreach.cli.read:read", "Print what a resource holds."),
    "drain": Lazy("longreach.cli.drain:drain", "Let a node finish its calls, and end."),
    "canary": Lazy("longreach.cli.canary:canary", "Give a version of a server a share of its calls."),
    "keys": Lazy("longreach.cli.keys:keys", "Make keys that seal the states of requests of several rounds."),
    "subject": Lazy("longreach.cli.subject:subject", "Print a tool's subjects and the permissions for them."),
    "topology": Lazy(
        "longreach.cli.topology.command:topology", "Make brokers' configuration, permissions and keys."
    ),
    "demo": Lazy("longreach.cli.demo.run:demo", "Watch calls survive a killed and a drained node."),
    "completion": Lazy("longreach.cli.about:completion", "Print the completion script of a shell."),
    "version": Lazy("longreach.cli.about:version", "Print the versions of longreach and what it stands on."),
}


class App(click.Group):
    """A group whose commands are imported one by one, and whose errors are one line each."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as they came: workers are started with the same ones."""
        ctx.meta["argv"] = tuple(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours, then those that other packages bring."""
        return [*COMMANDS, *sorted(_plugins().keys() - COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of that name."""
        plugin = None if cmd_name in COMMANDS else _plugins().get(cmd_name)
        known = COMMANDS.get(cmd_name) or plugin
        if known is None:
            return None
        target = known.target
        module, _, attribute = target.partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            if plugin is not None and isinstance(error, ModuleNotFoundError):
                plugin.explain_missing(error)
            raise click.ClickException(f"the command {cmd_name!r} cannot be loaded: {error}") from error
        assert isinstance(command, click.Command), f"{target} is no command"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a guess where the name is a slip."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"there is no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; where a package of its extra is missing, say which extra brings it."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            name = ctx.invoked_subcommand
            plugin = _plugins().get(name) if name is not None and name not in COMMANDS else None
            if plugin is not None:
                plugin.explain_missing(error)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, of which none is imported for it."""
        rows = [(name, lazy.help) for name, lazy in COMMANDS.items()]
        plugins = _plugins()
        rows += [(name, plugins[name].help) for name in self.list_commands(ctx)[len(COMMANDS) :]]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run a command and exit: the process's whole life."""
        try:
            code = super().main(
                args=args,
                prog_name="longreach",
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read our output has enough; the interpreter must not complain when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the boundary
            code = _report(ending_of(error), error)
        sys.exit(code if isinstance(code, int) else 0)


def debugging() -> bool:
    """Whether tracebacks are wanted: `--debug` anywhere, or LONGREACH_DEBUG."""
    return os.environ.get("LONGREACH_DEBUG", "") not in ("", "0")


def _report(ending: Ending, error: BaseException) -> int:
    if debugging():
        traceback.print_exception(error)
    if ending.line:
        click.echo(f"longreach: {ending.line}", err=True)
    return ending.code


def _plugins() -> dict[str, Plugin]:
    from longreach.cli.plugins import find_plugins

    return find_plugins(PLUGINS)


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        os.environ["LONGREACH_DEBUG"] = "1"


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_set_debug,
    help="Show tracebacks, and log everything. [env LONGREACH_DEBUG]",
)


@click.group(
    cls=App,
    epilog=EXIT_CODES_HELP,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="longreach %(version)s")
@debug_option
@click.pass_context
def app(ctx: click.Context) -> None:
    """MCP tools as supervised actors on NATS: decorate a function, call it from anywhere.

    Start with `longreach run module:server`, then `longreach ls` and `longreach call server.tool key=value`
    in another terminal. Without --nats, both find the same embedded broker.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
