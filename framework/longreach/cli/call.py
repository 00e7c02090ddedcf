"""`longreach call`: one call of one tool."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.asking import answers, explain, root_option
from longreach.cli.completing import complete_tool
from longreach.cli.endings import EXIT_CODES_HELP, one_line
from longreach.cli.options import SettingsCommand, setting_options

if TYPE_CHECKING:
    from longreach.cli.loop import Course
    from longreach.client.info import ToolInfo
    from longreach.client.mesh import Mesh
    from longreach.client.results import CallResult

STDIN = "-"
LOG_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

timeout_option = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="The whole call, retries and answers included; default: its own, or 60.",
)  # fmt: skip


@click.command(cls=SettingsCommand, epilog=EXIT_CODES_HELP)
@click.argument("tool", metavar="SERVER.TOOL", shell_complete=complete_tool)
@click.argument("arguments", metavar="[KEY=VALUE | KEY:=JSON | @FILE | -]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
@timeout_option
@click.option(
    "--idempotent/--not-idempotent", default=None,
    help="Whether it may be run again when its outcome is unknown; default: as the tool's hints say.",
)  # fmt: skip
@click.option("--node", metavar="NODE", help="Ask this node (identity.instance) and no other.")
@click.option(
    "--logs", type=click.Choice(LOG_LEVELS), metavar="LEVEL",
    help="Show what the tool logs, from this level on, on standard error.",
)  # fmt: skip
@root_option
@setting_options("client")
def call(tool: str, arguments: tuple[str, ...], as_json: bool, **flags: Any) -> int:
    """Call a tool and print its result.

    Values are read by the tool's input schema: text stays as it is (zip=02139), numbers, true, false and
    null are what they look like, lists and objects are JSON. key:=value is JSON whatever the schema says,
    a repeated key makes a list. @FILE and - (standard input) hold a JSON object of arguments; key=value
    takes precedence over it. What the tool asks the user is asked here, on a terminal.
    """
    from longreach.cli.loop import on_mesh, run_loop
    from longreach.cli.progress import ProgressLine
    from longreach.errors import LongreachError

    given, words = read_objects(arguments)
    chosen = {key: flags[key] for key in ("idempotent", "node") if flags[key] is not None}
    server, _, name = tool.partition(".")
    if flags["logs"] is not None:
        chosen |= {"on_log": print_log, "log_level": flags["logs"]}

    async def make(mesh: Mesh, course: Course) -> CallResult:
        found = [info for info in await mesh.tools(server) if info.name == name] if name else []
        filled = {**given, **read_words(words, found)}
        with ProgressLine(tool) as progress:
            asked = answers(tool, flags["roots"], progress.hide)
            left_s = course.call()
            limited: dict[str, Any] = {} if left_s is None else {"timeout_s": left_s}
            view = mesh.options(on_progress=progress.update, **limited, **chosen, **asked)
            try:
                return await view.call(tool, filled)
            except LongreachError as error:
                raise explain(tool, error) from error

    result = run_loop(on_mesh(flags, make, server=server if name else None, timeout_s=flags["timeout_s"]))
    return show(tool, result, as_json=as_json)


def print_log(level: str, data: Any, logger: str | None) -> None:
    """A log message of the tool, on standard error."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    where = f" {logger}:" if logger else ""
    click.echo(one_line(f"{level}:{where} {text}"), err=True)


def read_objects(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The arguments that come from files and standard input, and the words that are left.

    Raises:
        ConfigError: what is read is no JSON object.
    """
    given: dict[str, Any] = {}
    words = []
    for argument in arguments:
        if argument == STDIN:
            given |= _object(sys.stdin.read(), "standard input")
        elif argument.startswith("@"):
            given |= _object(_read(argument[1:]), argument[1:])
        else:
            words.append(argument)
    return given, words


def _read(path: str) -> str:
    from longreach.errors import ConfigError

    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None


def _object(text: str, source: str) -> dict[str, Any]:
    from longreach.errors import ConfigError
    from longreach.wire.values import parse_json

    try:
        value = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{source} must hold a JSON object of arguments")
    return value


def read_words(words: Sequence[str], definitions: Sequence[ToolInfo]) -> dict[str, Any]:
    """The arguments that words stand for, by the tool's schema, of any of its live versions.

    Raises:
        ConfigError: a word is malformed, or no version has a parameter of that name.
    """
    from longreach.cli.coerce import read_arguments, unknown_keys
    from longreach.errors import ConfigError

    schemas: list[Mapping[str, Any]] = [info.input_schema for info in definitions] or [{}]
    last_error: ConfigError | None = None
    for schema in schemas:
        try:
            arguments = read_arguments(words, schema)
            unknown = unknown_keys(arguments, schema)
            if not unknown:
                return arguments
            last_error = ConfigError(_no_parameter(definitions[0].qualified, unknown[0], schema))
        except ConfigError as error:
            last_error = error
    assert last_error is not None, "each schema either gave arguments or an error"
    raise last_error


def _no_parameter(tool: str, key: str, schema: Mapping[str, Any]) -> str:
    known = list(schema.get("properties", {}))
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'nothing'}"
    return f"{tool} has no parameter {key!r}; {hint}"


def show(tool: str, result: CallResult, *, as_json: bool) -> int:
    """Print the result; the exit code."""
    if as_json:
        click.echo(json.dumps(result_json(result), indent=2, ensure_ascii=False))
    elif result.is_error:
        click.echo(f"longreach: {tool} failed: {result.text or 'it says no more'}", err=True)
    else:
        click.echo(result_text(result))
    return 1 if result.is_error else 0


def result_json(result: CallResult) -> dict[str, Any]:
    """The whole result: as MCP has it, then how the call went."""
    import msgspec

    whole: dict[str, Any] = {"content": msgspec.to_builtins(result.content)}
    if result.structured is not None:
        whole["structuredContent"] = result.structured
    whole |= {"isError": result.is_error, "_meta": result.meta}
    return whole | {"attempts": result.attempts, "retries": list(result.retries)}


def result_text(result: CallResult) -> str:
    """The result for people: texts as they are, and what the other blocks are."""
    import msgspec

    lines = [block_text(block) for block in msgspec.to_builtins(result.content)]
    if not lines and result.structured is not None:
        return json.dumps(result.structured, indent=2, ensure_ascii=False)
    return "\n".join(lines)


def block_text(block: Mapping[str, Any]) -> str:
    """A block of content for people: a text as it is, and what any other is."""
    kind = block.get("type")
    if kind == "text":
        return str(block["text"])
    if kind == "resource" and "text" in block["resource"]:
        return str(block["resource"]["text"])
    about = block.get("resource", block)
    details = [str(about[key]) for key in ("mimeType", "uri") if key in about]
    return f"[{' '.join([str(kind), *details])}; --json has it all]"
