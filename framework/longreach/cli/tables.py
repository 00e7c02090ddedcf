"""Tables for people: columns of text, that fit a terminal and are whole on a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from longreach.cli.endings import printable

_COLUMNS = {
    "servers": ("name", "versions", "regions", "instances", "tools", "prompts", "resources", "title"),
    "tools": ("name", "hints", "versions", "regions", "description"),
    "prompts": ("name", "arguments", "versions", "regions", "description"),
    "resources": ("server", "uri", "mime_type", "versions", "regions", "description"),
    "places": ("place", "region", "node", "version", "target", "share", "breaker", "latency", "why"),
    "canaries": ("node", "region", "version", "weight"),
    "nodes": ("name", "region", "servers", "labels", "skew"),
}
_ELASTIC = ("description", "title", "labels", "servers", "arguments")
"""Columns that are cut on a narrow terminal. Names never are: they are there to be copied."""
_HINTS = {
    "readOnlyHint": "read-only",
    "idempotentHint": "idempotent",
    "destructiveHint": "destructive",
}
_RARE = ("prompts", "resources")
"""Not worth a heading where there are none."""
_GAP = "  "
_LEAST_WIDTH = 8
SHOWN_SKEW_MS = 500


def print_tables(listings: Mapping[str, list[dict[str, Any]]]) -> None:
    """Print each listing, under its name where there are several."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    several = len(listings) > 1
    shown = [(kind, rows) for kind, rows in listings.items() if rows or not several or kind not in _RARE]
    for number, (kind, rows) in enumerate(shown):
        if several:
            click.secho(("\n" if number else "") + kind.upper(), bold=True)
        if rows:
            head, *lines = table(kind, rows, width)
            click.secho(head, dim=True)
            click.echo("\n".join(lines))
        else:
            click.echo(f"no {kind}: start a node with `longreach run module:server`")


def table(kind: str, rows: Sequence[Mapping[str, Any]], width: int | None) -> list[str]:
    """A listing as lines, the first of them the names of the columns.

    Args:
        kind: as `longreach ls` takes it.
        rows: as `longreach ls --json` has them.
        width: of the terminal, in characters; None: as wide as it gets.
    """
    columns = _COLUMNS[kind]
    cells = [columns, *([printable(_cell(row, column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        _fit(columns, widths, width)
    return [_GAP.join(map(_padded, line, widths)).rstrip() for line in cells]


def _fit(columns: Sequence[str], widths: list[int], width: int) -> None:
    """Narrow what may be cut until the line fits, as far as that goes."""
    too_much = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    for column in _ELASTIC:
        if column in columns and too_much > 0:
            at = columns.index(column)
            cut = min(too_much, max(0, widths[at] - _LEAST_WIDTH))
            widths[at] -= cut
            too_much -= cut


def _padded(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def _cell(row: Mapping[str, Any], column: str) -> str:
    if column == "hints":
        hints = row["annotations"]
        return " ".join(word for hint, word in _HINTS.items() if hints.get(hint) is True)
    if column == "skew":
        ms = row["skew_ms"]
        return f"{ms / 1000:+.1f} s" if abs(ms) >= SHOWN_SKEW_MS else ""
    if column == "resources" and "templates" in row:
        return str(row["resources"] + row["templates"])
    value = row[column]
    if isinstance(value, dict):
        return " ".join(f"{key}={text}" for key, text in value.items())
    if isinstance(value, list):
        return ", ".join(value)
    lines = str("" if value is None else value).splitlines()
    return lines[0] if lines else ""
