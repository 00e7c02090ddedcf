from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint

import click
import pytest
from click.testing import Result

from longreach import __version__
from longreach.cli import app as app_module
from longreach.cli.app import COMMANDS, Lazy, app
from longreach.errors import NotFound

_BUG = "this should not happen: RuntimeError: oops (--debug shows where)"


def test_each_command_can_be_imported_and_has_help(longreach: Callable[..., Result]):
    for name in COMMANDS:
        done = longreach(name, "--help")
        assert done.exit_code == 0, done.output
        assert done.output.startswith(f"Usage: longreach {name}")


def test_the_list_of_commands_says_what_each_is_for(longreach: Callable[..., Result]):
    page = longreach("--help").output

    for name, lazy in COMMANDS.items():
        assert name in page
        assert lazy.help in page
    assert "Exit codes:" in page
    assert longreach().output == page


def test_a_command_that_cannot_be_imported_breaks_no_other(
    longreach: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(COMMANDS, "demo", Lazy("longreach.cli.nothing:demo", "Nothing."))

    broken = longreach("demo")

    assert (broken.exit_code, broken.stdout) == (2, "")
    assert broken.stderr.startswith("longreach: the command 'demo' cannot be loaded: No module named")
    assert longreach("--help").exit_code == 0
    assert longreach("version").exit_code == 0


def test_other_packages_bring_commands(longreach: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    def entry_points(*, group: str) -> list[EntryPoint]:
        target = "longreach.cli.about:version"
        return [EntryPoint("gateway", target, group), EntryPoint("ls", "not.ours:ls", group)]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)

    assert "gateway" in longreach("--help").output
    assert longreach("gateway").output.startswith("longreach ")
    assert longreach("ls", "--help").output.startswith("Usage: longreach ls")


def test_a_slip_is_recognised(longreach: Callable[..., Result]):
    done = longreach("decsribe")

    assert done.exit_code == 2
    assert done.stderr.startswith("longreach: there is no command 'decsribe'; did you mean describe?")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NotFound("no such\ntool"), 3, "longreach: no such tool\n"),
        (KeyboardInterrupt(), 130, "\n"),  # click ends the line of the ^C
        (RuntimeError("oops"), 70, f"longreach: {_BUG}\n"),
    ],
)
def test_errors_become_a_line_and_a_code(
    longreach: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    line: str,
):
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(app, "get_command", lambda ctx, name: failing)
    monkeypatch.setattr(app, "list_commands", lambda ctx: ["failing"])

    done = longreach("failing")

    assert (done.exit_code, done.stderr, done.stdout) == (code, line, "")


def test_debug_shows_the_traceback_wherever_it_stands(
    longreach: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
):
    for words in (("--debug", "describe", "x"), ("describe", "--debug", "x", "--nats", "http://x")):
        monkeypatch.setenv("LONGREACH_DEBUG", "0")
        done = longreach(*words)
        assert "Traceback" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("longreach: ")


def test_a_commands_value_is_the_exit_code(longreach: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    @click.command()
    def one() -> int:
        return 1

    monkeypatch.setattr(app, "get_command", lambda ctx, name: one)
    monkeypatch.setattr(app, "list_commands", lambda ctx: ["one"])

    assert longreach("one").exit_code == 1


def test_the_words_of_the_command_line_are_kept_for_workers():
    context = app.make_context("longreach", ["run", "app:docs", "--workers", "3"])

    assert context.meta["argv"] == ("run", "app:docs", "--workers", "3")


def test_version_and_completion(longreach: Callable[..., Result]):
    assert longreach("version").output.splitlines()[0] == f"longreach {__version__}"
    assert longreach("--version").output == f"longreach {__version__}\n"
    assert "_LONGREACH_COMPLETE" in longreach("completion", "zsh").output
    assert longreach("completion", "tcsh").exit_code == 2


def test_the_group_of_plugins_is_ours():
    assert app_module.PLUGINS == "longreach.commands"
