"""How a command ends: an error's line on standard error, and the exit code of the process."""

from __future__ import annotations

from typing import NamedTuple

import click

from longreach import errors

OK, TOOL_ERROR, USAGE, NOT_FOUND, REFUSED, UNKNOWN, NO_BROKER = range(7)
BUG = 70
INTERRUPTED = 130

EXIT_CODES_HELP = """\b
Exit codes:
  0  done
  1  the tool says that it failed, or a node failed
  2  wrong usage or settings
  3  no such server, tool or node
  4  refused: nothing ran
  5  outcome unknown, or no answer in time: it may have run
  6  no broker, or it rejects the credentials
"""

_CODES: tuple[tuple[type[errors.LongreachError], int], ...] = (
    (errors.NotFound, NOT_FOUND),
    (errors.BrokerUnavailable, NO_BROKER),
    (errors.CredentialsRejected, NO_BROKER),
    (errors.CallTimeout, UNKNOWN),
    (errors.OutcomeUnknown, UNKNOWN),
    (errors.ConfigError, USAGE),
    (errors.DeclarationError, USAGE),
    (errors.ToolError, TOOL_ERROR),
    (errors.RemoteError, TOOL_ERROR),
    (errors.InvalidResult, TOOL_ERROR),
)


class Ending(NamedTuple):
    """What to print, and what to exit with; an empty line is not printed."""

    code: int
    line: str


def exit_code(error: errors.LongreachError) -> int:
    """The exit code for an error; what is in no other class was refused before anything ran."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return {"no": REFUSED, "yes": TOOL_ERROR, "unknown": UNKNOWN}[error.delivered]


def ending_of(error: BaseException) -> Ending:
    """How the process ends because of `error`."""
    match error:
        case errors.LongreachError():
            return Ending(exit_code(error), one_line(str(error)))
        case click.UsageError():
            where = f" (see `{error.ctx.command_path} --help`)" if error.ctx is not None else ""
            return Ending(USAGE, one_line(error.format_message()) + where)
        case click.ClickException():
            return Ending(USAGE, one_line(error.format_message()))
        case KeyboardInterrupt() | click.Abort():
            return Ending(INTERRUPTED, "")
        case _:
            text = one_line(f"{type(error).__name__}: {error}")
            return Ending(BUG, f"this should not happen: {text} (--debug shows where)")


def one_line(text: str) -> str:
    """`text`, which others may have written, without line breaks and without control of a terminal."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """`text` with a mark in place of each control character."""
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    )
