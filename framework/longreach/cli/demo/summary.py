"""What the demo ends with: tables of what happened to the calls, and the sentence that explains it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from longreach.cli.demo.display import answered_by, ms
from longreach.cli.demo.tally import REFUSALS, latencies

if TYPE_CHECKING:
    from collections.abc import Iterable

    from longreach.cli.demo.board import Board
    from longreach.cli.demo.play import Ending
    from longreach.cli.demo.tally import Answered

WHY = (
    "Calls that were on the killed node may have run there, wholly or partly: nobody can tell. They were "
    "sent again because these tools say that they only read (read_only=True). Of a tool that does not say "
    "so, each would have ended as OutcomeUnknown, for its caller to decide; longreach never guesses."
)


def summary(board: Board, ending: Ending) -> RenderableType:
    """All of it."""
    return Group(Text(), calls_table(board, ending), places_table(board), times_table(board), verdict(ending))


def calls_table(board: Board, ending: Ending) -> Table:
    """The calls, and what the kill and the drain did to them."""
    tally = board.tally
    felt = tally.felt(ending.killed_at_s)
    refused = {reason: count for reason, count in tally.retries.items() if reason in REFUSALS}
    others = dict(tally.retries - Counter(felt.reasons) - Counter(refused))
    table = _table("what happened", "")
    table.add_row("calls", f"{tally.begun:,}")
    table.add_row("failed", _zero(len(tally.failures)))
    table.add_row("never ended", _zero(tally.in_flight))
    table.add_row("results checked against a local computation", f"{len(tally.answered):,}")
    table.add_row("wrong results", _zero(len(tally.wrong)))
    table.add_row("calls bound to a region that left it", _zero(tally.strayed))
    table.add_row("progress notes heard", f"{tally.notes:,}")
    table.add_row(
        "on the killed node at the kill, by its own count", _on_killed(ending.on_killed, felt.calls)
    )
    table.add_row("lost with it, and run again elsewhere", f"{felt.calls} {_reasons(felt.reasons)}")
    table.add_row("refused before they began, and sent elsewhere", f"{_total(refused)} {_reasons(refused)}")
    table.add_row("sent again for other reasons", f"{_total(others)} {_reasons(others)}")
    table.add_row("the kill was felt for, by a call of a fast tool at most", ms(felt.longest_fast_s))
    table.add_row("... and by a simulation, which begins anew on a busier node", ms(felt.longest_s))
    table.add_row("last of the lost calls answered, after the kill", ms(felt.until_s))
    table.add_row("drain, with calls running, took", ms(ending.drain_took_s))
    return table


def places_table(board: Board) -> Table:
    """Where the calls ran."""
    table = _table("where they ran", "region", "calls", "share", "now")
    total = max(1, len(board.tally.answered))
    for row in board.nodes.values():
        count = answered_by(board, row)
        table.add_row(row.identity, row.region, f"{count:,}", f"{count / total:.0%}", row.state)
    return table


def times_table(board: Board) -> Table:
    """How long they took, kill and drain included."""
    table = _table("how long they took", "calls", "p50", "p95", "p99", "max")
    answered = board.tally.answered
    for tool in sorted({call.tool for call in answered}):
        calls = [call for call in answered if call.tool == tool]
        table.add_row(tool, f"{len(calls):,}", *_percentiles(calls))
    table.add_section()
    table.add_row("all", f"{len(answered):,}", *_percentiles(answered))
    return table


def verdict(ending: Ending) -> Text:
    """How it ended, in words."""
    if ending.problems:
        return Text("\n".join(("", *ending.problems)), style="bold red")
    return Text.assemble(("\nNo call was lost. ", "bold green"), WHY)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _zero(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "bold green")


def _on_killed(counted: int, lost: int) -> str:
    on_their_way = lost - counted
    return f"{counted}, and {on_their_way} on their way to it" if on_their_way > 0 else str(counted)


def _total(reasons: dict[str, int]) -> int:
    return sum(reasons.values())


def _reasons(reasons: dict[str, int]) -> str:
    return "(" + ", ".join(f"{reason}: {count}" for reason, count in reasons.items()) + ")" if reasons else ""


def _percentiles(calls: Iterable[Answered]) -> tuple[str, ...]:
    found = latencies(calls)
    return ms(found.p50_s), ms(found.p95_s), ms(found.p99_s), ms(found.max_s)
