"""The command `longreach demo`: a stage, a play, a show, and the tables."""

from __future__ import annotations

import asyncio
import signal

import click
import uvloop
from rich.console import Console

from longreach import forks
from longreach.cli.app import debug_option
from longreach.cli.demo.board import Board
from longreach.cli.demo.display import LiveShow, PlainShow
from longreach.cli.demo.play import DEFAULT_SECONDS, Ending, Play
from longreach.cli.demo.prices import all_series
from longreach.cli.demo.processes import Stage
from longreach.cli.demo.summary import summary
from longreach.tasks import TaskSet

_PLAIN_WIDTH = 110


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=4),
    default=DEFAULT_SECONDS,
    show_default=True,
    help="How long the calls go on, about.",
)
@click.option(
    "--plain/--live",
    default=None,
    help="Lines, or a live view; by default the view on a terminal, and lines elsewhere.",
)
@debug_option
def demo(seconds: float, plain: bool | None) -> int:
    """Watch calls survive a killed and a drained node.

    Starts a broker and three nodes in two regions, makes some thousands of calls of tools that do real work,
    kills one node (kill -9) while calls are on it, drains another, and lets a new one join. Ends with what
    became of the calls. The exit code is 1 if one of them was lost. Nothing is left behind, and nodes and
    brokers of yours are not touched.
    """
    return run_demo(seconds=seconds, plain=plain)


def run_demo(*, seconds: float = DEFAULT_SECONDS, plain: bool | None = None) -> int:
    """Run the demo and print what came of it.

    All its processes have ended when this returns or raises, KeyboardInterrupt included.

    Args:
        seconds: how long the calls go on, about.
        plain: lines instead of a live view; None: where standard output is no terminal.

    Returns:
        The exit code: 0, or 1 if a call was lost or anything else went wrong.

    Raises:
        ConfigError: something that the demo needs is not installed.
        LongreachError: a node does not start.
    """
    all_series()  # before anything is started: what is missing is said at once, and read data is kept
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)
    lines = plain if plain is not None else not console.is_terminal
    with Stage() as stage:
        board = Board(stage.broker.url)
        show = PlainShow(board, console) if lines else LiveShow(board, console)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                ending = runner.run(_perform(Play(stage, board, seconds), show))
            except asyncio.CancelledError:  # by SIGTERM
                raise KeyboardInterrupt from None
    console.print(summary(board, ending))
    return 1 if ending.problems else 0


async def _perform(play: Play, show: LiveShow | PlainShow) -> Ending:
    _end_on_sigterm()
    tasks = TaskSet("demo show")
    tasks.start(show.run(), name="show")
    try:
        return await play.run()
    finally:
        await tasks.close()


def _end_on_sigterm() -> None:
    """Let SIGTERM end the play as Ctrl-C does, so that no process stays behind."""
    this = asyncio.current_task()
    assert this is not None
    forks.hear(asyncio.get_running_loop(), signal.SIGTERM, this.cancel)
