"""What a server asks for in the middle of a call: asked on the terminal, or said to be missing.

What servers write is shown without its control characters, and nothing is opened or sent without a yes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from longreach.cli.endings import one_line

if TYPE_CHECKING:
    from longreach.errors import LongreachError
    from longreach.wire.inputs import ElicitParams

Ask = Callable[[str], Awaitable["str | None"]]
"""Shows a line and reads the answer; None: there is none, the user has closed the input."""
Property = Mapping[str, Any]

_MISSING = {
    "elicitation": "asks the user something: run the command on a terminal",
    "sampling": "asks for a model, which the command line has not",
    "roots": "asks which folders matter: name them with --root FOLDER",
}

root_option = click.option(
    "--root", "roots", metavar="FOLDER", multiple=True, type=click.Path(),
    help="A folder that matters, for servers that ask which do; may be repeated.",
)  # fmt: skip


def answers(name: str, roots: Sequence[str], before: Callable[[], None]) -> dict[str, Any]:
    """Options for `Mesh.options` that answer what can be answered here.

    Args:
        name: of what is called, for the user.
        roots: folders.
        before: called before the terminal is written to.
    """
    found: dict[str, Any] = {}
    if roots:
        uris = [Path(root).expanduser().resolve().as_uri() for root in roots]

        async def on_roots() -> list[str]:
            return uris

        found["on_roots"] = on_roots
    if sys.stdin.isatty() and sys.stderr.isatty():

        async def on_elicit(asked: ElicitParams) -> Any:
            before()
            return await fill_in(name, asked, ask_line)

        async def on_url(asked: ElicitParams) -> Any:
            before()
            return await visit(name, asked, ask_line)

        found |= {"on_elicit": on_elicit, "on_url": on_url}
    return found


async def ask_line(text: str) -> str | None:
    """Ask on the terminal. The event loop goes on meanwhile, and the question can be cancelled."""
    click.echo(text, nl=False, err=True)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    line = os.read(sys.stdin.fileno(), 64 * 1024).decode(errors="replace")  # a terminal gives lines
    return line.rstrip("\r\n") if line else None


async def fill_in(name: str, asked: ElicitParams, ask: Ask) -> dict[str, Any] | bool | None:
    """Have a form filled in; False: declined, None: the user has had enough."""
    click.echo(f"{name} asks: {one_line(asked.message)}", err=True)
    schema = asked.requested_schema if isinstance(asked.requested_schema, dict) else {}
    required = schema.get("required", ())
    content: dict[str, Any] = {}
    for key, value in schema.get("properties", {}).items():
        about = value if isinstance(value, dict) else {}
        while True:
            line = await ask(_question(key, about, is_required=key in required))
            if line is None:
                return None
            answer, trouble = _read(key, line, about, is_required=key in required)
            if not trouble:
                break
            click.echo(f"  {one_line(trouble)}", err=True)
        if answer is not None:
            content[key] = answer
    sure = await ask("  send this? [Y/n] ")
    if sure is None:
        return None
    return content if _is_yes(sure, default=True) else False


async def visit(name: str, asked: ElicitParams, ask: Ask) -> bool | None:
    """Have a page visited; it is shown whole, and opened by nobody but the user."""
    click.echo(f"{name} asks you to visit a page: {one_line(asked.message)}", err=True)
    click.echo(f"  {one_line(str(asked.url))}", err=True)
    line = await ask("  have you been there, and is it done? [y/N] ")
    return None if line is None else _is_yes(line, default=False)


def _is_yes(line: str, *, default: bool) -> bool:
    return line.strip().lower() in ("y", "yes") if line.strip() else default


def _choices(about: Property) -> list[tuple[Any, str]]:
    """(value, what it is called) of each choice; none: anything of its type."""
    items = about.get("items")
    if isinstance(items, dict):
        return _choices(items)
    titled = about.get("oneOf") or about.get("anyOf")
    if isinstance(titled, list):
        consts = [each for each in titled if isinstance(each, dict) and "const" in each]
        return [(each["const"], str(each.get("title", each["const"]))) for each in consts]
    values = about.get("enum")
    if not isinstance(values, list):
        return []
    names = about.get("enumNames")
    texts = names if isinstance(names, list) and len(names) == len(values) else values
    return [(value, str(text)) for value, text in zip(values, texts, strict=True)]


def _question(key: str, about: Property, *, is_required: bool) -> str:
    label = one_line(str(about.get("title") or key))
    if about.get("description"):
        label += f" ({one_line(str(about['description']))})"
    shown = [str(value) if str(value) == text else f"{value} = {text}" for value, text in _choices(about)]
    if shown:
        several = "some of " if about.get("type") == "array" else ""
        label += f" [{several}{one_line(', '.join(shown))}]"
    elif about.get("type") == "boolean":
        label += " [yes or no]"
    if "default" in about:
        label += f", or nothing for {one_line(_text(about['default']))}"
    elif not is_required:
        label += ", or nothing"
    return f"  {label}: "


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _read(key: str, line: str, about: Property, *, is_required: bool) -> tuple[Any, str]:
    """The answer that a line is, and what is wrong with it; an answer of None is left out."""
    from longreach.cli.coerce import coerce
    from longreach.errors import ConfigError

    if not line:
        if "default" in about:
            return about["default"], ""
        return None, "an answer is needed; Ctrl-D gives up" if is_required else ""
    choices = {str(value): value for value, _ in _choices(about)}
    parts = [part.strip() for part in line.split(",")] if about.get("type") == "array" else [line.strip()]
    if choices:
        wrong = [part for part in parts if part not in choices]
        if wrong:
            return None, f"{wrong[0]!r} is none of {', '.join(choices)}"
        chosen = [choices[part] for part in parts]
        return (chosen if about.get("type") == "array" else chosen[0]), ""
    try:
        return coerce(key, line, about, about), ""
    except ConfigError as error:
        return None, str(error)


def explain(name: str, error: LongreachError) -> LongreachError:
    """`error`, in words of the command line where it is about something that a server asked for."""
    from longreach.errors import InputNeeded, LongreachError
    from longreach.wire import codes
    from longreach.wire.inputs import required_capability

    wanted: list[str] = []
    if isinstance(error, InputNeeded):
        wanted = [kind for request in error.requests.values() for kind in required_capability(request)]
    elif error.code == codes.MISSING_CAPABILITY and isinstance(error.data, dict):
        required = error.data.get("requiredCapabilities")
        wanted = list(required) if isinstance(required, dict) else []
    texts = [_MISSING[kind] for kind in dict.fromkeys(wanted) if kind in _MISSING]
    if not texts:
        return error
    return LongreachError(f"{name} {'; and '.join(texts)}", delivered="yes", code=error.code)
