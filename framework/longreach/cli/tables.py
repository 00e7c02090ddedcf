"""Tables for people; on a pipe they are as wide as they need, so that nothing is cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 10_000
_COLUMNS = {
    "servers": ("name", "versions", "regions", "instances", "tools", "title"),
    "tools": ("name", "hints", "versions", "regions", "description"),
    "nodes": ("name", "region", "servers", "labels", "skew"),
}
_ELASTIC = frozenset({"title", "description", "labels", "servers"})
"""Columns that may be cut on a narrow terminal; names never are: they are there to be copied."""
_HINTS = {
    "readOnlyHint": "read-only",
    "idempotentHint": "idempotent",
    "destructiveHint": "destructive",
}
SHOWN_SKEW_MS = 500


def print_tables(listings: Mapping[str, list[dict[str, Any]]], console: Console | None = None) -> None:
    """Print each listing under its name."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    for kind, rows in listings.items():
        if len(listings) > 1:
            console.print(Text(kind.upper(), style="bold"))
        if rows:
            console.print(make_table(kind, rows))
        else:
            console.print(f"no {kind}: start a node with `longreach run module:server`")


def make_table(kind: str, rows: list[dict[str, Any]]) -> Table:
    """A listing as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in _COLUMNS[kind]:
        elastic = column in _ELASTIC
        table.add_column(column, no_wrap=True, overflow="ellipsis" if elastic else "fold")
    for row in rows:
        table.add_row(*(Text(_cell(row, column)) for column in _COLUMNS[kind]))
    return table


def _cell(row: Mapping[str, Any], column: str) -> str:
    if column == "hints":
        hints = row["annotations"]
        return " ".join(word for hint, word in _HINTS.items() if hints.get(hint) is True)
    if column == "skew":
        ms = row["skew_ms"]
        return f"{ms / 1000:+.1f} s" if abs(ms) >= SHOWN_SKEW_MS else ""
    value = row[column]
    if isinstance(value, dict):
        return " ".join(f"{key}={text}" for key, text in value.items())
    if isinstance(value, list):
        return ", ".join(value)
    lines = str("" if value is None else value).splitlines()
    return lines[0] if lines else ""
