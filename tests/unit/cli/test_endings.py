from __future__ import annotations

import inspect

import click
import pytest

from longreach import errors
from longreach.cli.endings import BUG, EXIT_CODES_HELP, ending_of, exit_code
from longreach.errors import LongreachError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ToolError("x"), 1),
        (errors.RemoteError("x"), 1),
        (errors.ProtocolError(-32602, "x"), 1),
        (errors.ResourceNotFound("x"), 1),
        (errors.InvalidResult("x"), 1),
        (errors.Crash("x"), 1),
        (errors.InputNeeded("x", {}, None), 1),
        (errors.ConfigError("x"), 2),
        (errors.DeclarationError("x"), 2),
        (errors.NotFound("x"), 3),
        (errors.NotStarted("x"), 4),
        (errors.ResidencyRefused("x"), 4),
        (errors.PermissionDenied("x"), 4),
        (errors.TooLarge("x"), 4),
        (errors.OutcomeUnknown("x"), 5),
        (errors.CallTimeout("x", delivered="no"), 5),
        (errors.BrokerUnavailable("x"), 6),
        (errors.CredentialsRejected("x"), 6),
        (LongreachError("x", delivered="unknown"), 5),
        (LongreachError("x", delivered="yes"), 1),
        (LongreachError("x"), 4),
    ],
)
def test_each_error_has_its_exit_code(error: LongreachError, code: int):
    assert exit_code(error) == code
    assert ending_of(error) == (code, str(error))
    assert str(error).endswith("x")


def test_every_class_of_error_is_in_the_table_above():
    mark = test_each_error_has_its_exit_code.pytestmark[0]
    tried = {type(error) for error, _ in mark.args[1]}
    known = {
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, LongreachError)
    }

    assert tried == known


def test_lines_have_no_breaks():
    assert ending_of(errors.NotFound("a\n  b")).line == "a b"
    assert ending_of(click.UsageError("a\nb")).line == "a b"


def test_nobody_moves_the_cursor_of_a_terminal():
    assert ending_of(errors.RemoteError("\x1b[2Jx\x07")).line == "\ufffd[2Jx\ufffd"


def test_what_should_not_happen_is_told_apart():
    assert ending_of(ZeroDivisionError("x")).code == BUG
    assert ending_of(KeyboardInterrupt()) == (130, "")


def test_help_names_the_codes():
    assert [line.split()[0] for line in EXIT_CODES_HELP.splitlines()[2:]] == list("0123456")
