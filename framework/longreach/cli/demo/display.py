"""How the demo looks: a live view on a terminal, plain lines elsewhere, and tables at the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from longreach.cli.demo.tally import latencies

if TYPE_CHECKING:
    from longreach.cli.demo.board import Board, Moment, NodeRow

_STYLES = {"plain": "", "good": "green", "bad": "bold red", "loud": "yellow"}
_STATE_STYLES = {
    "starting": "dim",
    "serving": "green",
    "draining": "yellow",
    "drained": "dim",
    "killed": "bold red",
}
_BARS = "▁▁▂▃▄▅▆▇█"
_BAR_CHARS = 28
_SPARK_CHARS = 40
_SPARK_EVERY_S = 0.5
_WINDOW_S = 2.0
_MOMENTS_SHOWN = 8
_FRAMES_A_SECOND = 8
_LINE_EVERY_S = 2.0


class Show(Protocol):
    """Shows a board while a play goes on."""

    async def run(self) -> None:
        """Show it, until cancelled."""
        ...


class LiveShow:
    """A view that is drawn again and again; for terminals."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console
        self._rates = Rates()

    async def run(self) -> None:
        """Draw, until cancelled; the last view stays."""
        # Drawn from here and not from rich's thread, which would see the board half changed.
        with Live(console=self._console, auto_refresh=False, transient=False) as live:
            try:
                while True:
                    live.update(self._view(), refresh=True)
                    await asyncio.sleep(1 / _FRAMES_A_SECOND)
            finally:
                live.update(self._view(), refresh=True)

    def _view(self) -> RenderableType:
        self._rates.look(self._board)
        return view(self._board, self._rates)


class PlainShow:
    """A line for each thing that happens, and one for the calls every other second; for logs."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console
        self._shown = 0

    async def run(self) -> None:
        """Print, until cancelled, and then what is left."""
        next_line_s = _LINE_EVERY_S
        try:
            while True:
                self._print_moments()
                if self._board.tally.begun and self._board.now_s >= next_line_s:
                    self._print_calls()
                    next_line_s = self._board.now_s + _LINE_EVERY_S
                await asyncio.sleep(0.05)
        finally:
            self._print_moments()

    def _print_calls(self) -> None:
        line = Text(f"{self._board.now_s:6.1f} s  ").append(calls_line(self._board))
        self._console.print(line.append(" · ").append(times_line(self._board)), soft_wrap=True)

    def _print_moments(self) -> None:
        for moment in self._board.moments[self._shown :]:
            self._console.print(moment_line(moment), soft_wrap=True)
        self._shown = len(self._board.moments)


class Rates:
    """Calls a second over time, each with the style of what happened meanwhile."""

    def __init__(self) -> None:
        self._last_s = 0.0
        self._last_count = 0
        self.values: list[tuple[float, str]] = []

    def look(self, board: Board) -> None:
        """Take down the rate since the last time, if that is long enough ago."""
        now_s, count = board.now_s, len(board.tally.answered)
        if now_s - self._last_s < _SPARK_EVERY_S:
            return
        if board.tally.begun:
            weights = {moment.weight for moment in board.moments if moment.at_s > self._last_s}
            style = next((_STYLES[weight] for weight in ("bad", "loud") if weight in weights), "cyan")
            self.values.append(((count - self._last_count) / (now_s - self._last_s), style))
        self._last_s, self._last_count = now_s, count


def view(board: Board, rates: Rates) -> RenderableType:
    """The whole live view."""
    head = Text.assemble(
        (" longreach demo ", "bold reverse"), f" {board.now_s:5.1f} s  ", (board.now_playing, "bold")
    )
    parts: list[RenderableType] = [head, Text(f" broker {board.broker_url}", style="dim"), Text()]
    parts.append(Padding(nodes_table(board), (0, 0, 0, 1)))
    parts += [Text(" ").append(calls_line(board)), Text(" ").append(times_line(board))]
    parts += [Text(" ").append(sparkline(rates.values[-_SPARK_CHARS:])), Text()]
    parts += [Text(" ").append(moment_line(moment)) for moment in board.moments[-_MOMENTS_SHOWN:]]
    for part in parts:
        if isinstance(part, Text):  # a line that wraps would make the view jump
            part.no_wrap, part.overflow = True, "ellipsis"
    return Group(*parts)


def nodes_table(board: Board) -> Table:
    """The nodes: where they are, how they are, what they have done."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("node", style="bold")
    table.add_column("region")
    table.add_column("pid", justify="right", style="dim")
    table.add_column("state", min_width=8)
    table.add_column("running", justify="right")
    table.add_column("answered", justify="right", min_width=8)
    table.add_column("", min_width=_BAR_CHARS)
    counts = {row.identity: answered_by(board, row) for row in board.nodes.values()}
    most = max([1, *counts.values()])
    for row in board.nodes.values():
        style = _STATE_STYLES[row.state]
        count = counts[row.identity]
        running = str(row.in_flight) if row.state in ("serving", "draining") else "-"
        bar = Text("█" * round(_BAR_CHARS * count / most), style=style)
        state = Text(row.state, style=style)
        table.add_row(row.identity, row.region, str(row.pid), state, running, f"{count:,}", bar)
    return table


def calls_line(board: Board) -> Text:
    """The calls so far."""
    tally = board.tally
    lost = len(tally.failures)
    return Text.assemble(
        (f"{len(tally.answered):,}", "bold"),
        f" calls · {tally.in_flight} in flight · ",
        (f"{lost} failed", "bold red" if lost else "green"),
        f" · {sum(tally.retries.values())} sent again",
    )


def times_line(board: Board) -> Text:
    """How fast they go just now: p50 and p99 of the last seconds, the simulations apart."""
    recent = board.tally.recent(board.now_s, _WINDOW_S)
    fast = latencies(call for call in recent if not call.is_slow)
    slow = latencies(call for call in recent if call.is_slow)
    return Text(
        f"{len(recent) / _WINDOW_S:,.0f}/s · fast tools {ms(fast.p50_s)}, p99 {ms(fast.p99_s)}"
        f" · simulations {ms(slow.p50_s)}, p99 {ms(slow.p99_s)}"
    )


def moment_line(moment: Moment) -> Text:
    """Something that happened, as a line."""
    return Text(f"{moment.at_s:6.1f} s  ", style="dim").append(moment.text, style=_STYLES[moment.weight])


def answered_by(board: Board, row: NodeRow) -> int:
    """How many calls a node has answered."""
    return board.tally.per_node[row.region, row.name]


def sparkline(values: list[tuple[float, str]]) -> Text:
    """Values with their styles as a row of bars, the highest of them full."""
    top = max((value for value, _ in values), default=0.0) or 1.0
    return Text.assemble(*((_BARS[round(value / top * (len(_BARS) - 1))], style) for value, style in values))


def ms(seconds: float) -> str:
    """A time in milliseconds, or in seconds where that reads better."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
