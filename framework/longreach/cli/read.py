"""`longreach read`: what one resource holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.asking import answers, explain, root_option
from longreach.cli.call import timeout_option
from longreach.cli.completing import complete_server, complete_uri
from longreach.cli.endings import EXIT_CODES_HELP
from longreach.cli.options import SettingsCommand, setting_options

if TYPE_CHECKING:
    from longreach.cli.loop import Course
    from longreach.client.mesh import Mesh
    from longreach.client.results import ReadResult

STDOUT = "-"


@click.command(cls=SettingsCommand, epilog=EXIT_CODES_HELP)
@click.argument("server", metavar="SERVER", shell_complete=complete_server)
@click.argument("uri", metavar="URI", shell_complete=complete_uri)
@click.option(
    "--output", "-o", metavar="FILE", help="Write it there, bytes as they are; - is standard output."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
@timeout_option
@root_option
@setting_options("client")
def read(server: str, uri: str, output: str | None, as_json: bool, **flags: Any) -> None:
    """Read a resource and print its text.

    What is no text is printed nowhere: --output says where it goes.
    """
    from longreach.cli.loop import on_mesh, run_loop
    from longreach.errors import LongreachError

    async def make(mesh: Mesh, course: Course) -> ReadResult:
        name = f"{uri} of {server}"
        view = mesh.options(timeout_s=course.call(), **answers(name, flags["roots"], lambda: None))
        try:
            return await view.read(server, uri)
        except LongreachError as error:
            raise explain(name, error) from error

    result = run_loop(on_mesh(flags, make, server=server, timeout_s=flags["timeout_s"]))
    if as_json:
        click.echo(json.dumps(result_json(result), indent=2, ensure_ascii=False))
    elif output is not None:
        write(result, output)
    else:
        click.echo(result_text(result), nl=sys.stdout.isatty() and not result.text.endswith("\n"))


def write(result: ReadResult, output: str) -> None:
    """Write what a resource holds to a file, or to standard output.

    Raises:
        ConfigError: it has several parts, or the file cannot be written.
    """
    from longreach.errors import ConfigError

    if len(result.contents) != 1:
        raise ConfigError(f"it has {len(result.contents)} parts, and no one file holds them; --json has them")
    if output == STDOUT:
        sys.stdout.buffer.write(result.data)
        return
    try:
        Path(output).write_bytes(result.data)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from None


def result_json(result: ReadResult) -> dict[str, Any]:
    """The whole result: as MCP has it, then how the request went."""
    import msgspec

    whole = {"contents": msgspec.to_builtins(result.contents), "ttlMs": result.ttl_ms}
    whole |= {"cacheScope": result.cache_scope, "_meta": result.meta}
    return whole | {"attempts": result.attempts, "retries": list(result.retries)}


def result_text(result: ReadResult) -> str:
    """The text of a resource, all parts.

    Raises:
        ConfigError: a part is no text.
    """
    from longreach.errors import ConfigError

    for part in result.contents:
        if not isinstance(part.text, str):
            kind = part.mime_type if isinstance(part.mime_type, str) else "of no stated kind"
            raise ConfigError(f"{part.uri} is no text ({kind}): write it with --output FILE")
    return result.text
