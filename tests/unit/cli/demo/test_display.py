"""What the demo shows."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

from longreach.cli.demo.board import Board, NodeRow
from longreach.cli.demo.display import Rates, calls_line, ms, nodes_table, sparkline, times_line, view
from longreach.cli.demo.play import Ending
from longreach.cli.demo.summary import summary
from longreach.cli.demo.tally import Answered
from longreach.clock import FakeClock


def text_of(what: RenderableType) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def board() -> Board:
    board = Board("nats://127.0.0.1:4222")
    board.nodes["eu-1"] = NodeRow("eu-1", "eu", 17, "serving", "eu-1.abc", in_flight=3)
    board.nodes["eu-2"] = NodeRow("eu-2", "eu", 18, "killed", "eu-2.def")
    for number in range(4):
        board.tally.began()
        node = "eu-1.abc" if number else "eu-2.def"
        board.tally.ended(Answered("risk.volatility", False, 0.0, 0.020, "eu", node, ()))
    board.say("kill -9 18: eu-2 is dead", "bad")
    return board


def test_nodes_with_what_they_did_and_do() -> None:
    lines = text_of(nodes_table(board())).splitlines()
    serving = next(line.split() for line in lines if "eu-1" in line)
    killed = next(line.split() for line in lines if "eu-2" in line)
    assert serving[:6] == ["eu-1", "eu", "17", "serving", "3", "3"]
    assert killed[:6] == ["eu-2", "eu", "18", "killed", "-", "1"]
    assert serving[6].count("█") == 28
    assert killed[6].count("█") == 9


def test_the_line_of_calls_says_what_matters() -> None:
    line = str(calls_line(board()))
    assert "4 calls · 0 in flight · 0 failed · 0 sent again" in line
    assert str(times_line(board())) == "2/s · fast tools 20 ms, p99 20 ms · simulations 0 ms, p99 0 ms"


def test_the_view_holds_the_nodes_and_what_happened() -> None:
    shown = text_of(view(board(), Rates()))
    assert "kill -9 18: eu-2 is dead" in shown
    assert "nats://127.0.0.1:4222" in shown


def test_the_summary_of_a_clean_run_explains_why_calls_could_be_sent_again() -> None:
    shown = text_of(summary(board(), Ending(5.0, 7, 0.3, ())))
    assert "No call was lost." in shown
    assert "read_only=True" in shown
    assert "by its own count" in shown


def test_the_summary_of_a_bad_run_says_what_is_wrong() -> None:
    shown = text_of(summary(board(), Ending(5.0, 7, 0.3, ("2 calls never ended",))))
    assert "2 calls never ended" in shown
    assert "No call was lost" not in shown


def test_rates_are_taken_every_half_second_and_marked_where_something_bad_happened() -> None:
    rates, clock = Rates(), FakeClock()
    board = Board("nats://127.0.0.1:4222", clock=clock)
    for count, wait_s, text in ((0, 0.5, ""), (10, 0.2, ""), (90, 0.3, "kill -9"), (50, 1.0, "")):
        clock.advance(wait_s)
        for _ in range(count):
            board.tally.began()
            board.tally.ended(Answered("risk.volatility", False, 0.0, board.now_s, "eu", "n", ()))
        if text:
            board.say(text, "bad")
        rates.look(board)
    assert [(round(rate), style) for rate, style in rates.values] == [(200, "bold red"), (50, "cyan")]


def test_sparkline_is_full_at_its_highest() -> None:
    line = sparkline([(0, "cyan"), (4, "red"), (8, "cyan")])
    assert str(line) == "▁▄█"
    assert [span.style for span in line.spans] == ["cyan", "red", "cyan"]
    assert str(sparkline([])) == ""
    assert str(sparkline([(0.0, "")])) == "▁"


def test_no_line_of_the_view_wraps_on_a_narrow_terminal() -> None:
    shown = board()
    shown.say("something that happened and takes a great many words to be told, more than fit", "good")
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(view(shown, Rates()))
    lines = console.export_text().splitlines()
    assert sum("something that happened" in line for line in lines) == 1
    assert len(lines) == 15


def test_times_read_well() -> None:
    assert [ms(0.0204), ms(0.9), ms(1.234)] == ["20 ms", "900 ms", "1.23 s"]
