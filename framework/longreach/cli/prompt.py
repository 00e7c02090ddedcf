"""`longreach prompt`: one prompt, filled in."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.asking import answers, explain, root_option
from longreach.cli.call import block_text, read_objects, timeout_option
from longreach.cli.completing import complete_prompt
from longreach.cli.endings import EXIT_CODES_HELP
from longreach.cli.options import SettingsCommand, setting_options

if TYPE_CHECKING:
    from longreach.cli.loop import Course
    from longreach.client.info import PromptInfo
    from longreach.client.mesh import Mesh
    from longreach.client.results import PromptResult


@click.command(cls=SettingsCommand, epilog=EXIT_CODES_HELP)
@click.argument("name", metavar="SERVER.PROMPT", shell_complete=complete_prompt)
@click.argument("arguments", metavar="[KEY=VALUE | @FILE | -]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
@timeout_option
@root_option
@setting_options("client")
def prompt(name: str, arguments: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Fill in a prompt and print its messages.

    Values are text. @FILE and - (standard input) hold a JSON object of arguments; key=value takes
    precedence over it.
    """
    from longreach.cli.loop import on_mesh, run_loop
    from longreach.errors import LongreachError

    given, words = read_objects(arguments)

    server, _, bare = name.partition(".")

    async def make(mesh: Mesh, course: Course) -> PromptResult:
        found = [info for info in await mesh.prompts(server) if info.name == bare] if bare else []
        filled = {**given, **read_texts(words, found)}
        view = mesh.options(timeout_s=course.call(), **answers(name, flags["roots"], lambda: None))
        try:
            return await view.get_prompt(name, filled)
        except LongreachError as error:
            raise explain(name, error) from error

    result = run_loop(on_mesh(flags, make, server=server if bare else None, timeout_s=flags["timeout_s"]))
    if as_json:
        click.echo(json.dumps(result_json(result), indent=2, ensure_ascii=False))
    else:
        click.echo(result_text(result))


def read_texts(words: Sequence[str], definitions: Sequence[PromptInfo]) -> dict[str, str]:
    """The arguments that words stand for.

    Raises:
        ConfigError: a word is none, or no live version of the prompt has an argument of that name.
    """
    from longreach.errors import ConfigError

    known = [argument.name for info in definitions for argument in info.arguments]
    texts: dict[str, str] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (key and equals):
            raise ConfigError(f"{word!r} is no argument: write key=value, @file.json, or - for stdin")
        if definitions and key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'nothing'}"
            raise ConfigError(f"{definitions[0].qualified} has no argument {key!r}; {hint}")
        texts[key] = text
    return texts


def result_json(result: PromptResult) -> dict[str, Any]:
    """The whole result: as MCP has it, then how the request went."""
    import msgspec

    about: Mapping[str, Any] = {} if result.description is None else {"description": result.description}
    whole = {**about, "messages": msgspec.to_builtins(result.messages), "_meta": result.meta}
    return whole | {"attempts": result.attempts, "retries": list(result.retries)}


def result_text(result: PromptResult) -> str:
    """The messages for people: the one as it is; of several, who says which."""
    import msgspec

    texts = [(message.role, block_text(msgspec.to_builtins(message.content))) for message in result.messages]
    if len(texts) == 1:
        return texts[0][1]
    return "\n\n".join(f"{role}:\n{text}" for role, text in texts)
