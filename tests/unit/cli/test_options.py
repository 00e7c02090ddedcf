from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from longreach.cli.settings import SETTINGS, Setting, Table, settings_of


@pytest.mark.parametrize(("command", "table"), [("run", "node"), ("ls", "client"), ("call", "client")])
def test_help_shows_each_setting_with_its_variable_and_key(
    longreach: Callable[..., Result], command: str, table: Table
):
    page = " ".join(longreach(command, "--help").output.split())

    for setting in settings_of(table):
        assert f"[env {setting.variable}; TOML {setting.key}" in page.replace("- ", "-"), setting.key
        for flag in setting.flags:
            assert flag in page


def test_help_has_sections(longreach: Callable[..., Result]):
    page = longreach("run", "--help").output

    for section in (
        "Place:",
        "Broker:",
        "Credentials and TLS:",
        "Node:",
        "Logging:",
        "Settings without a flag:",
    ):
        assert f"\n{section}\n" in page


def test_secrets_have_no_flag_unless_they_were_asked_for():
    flagged = {setting.key for setting in settings_of("node") if setting.flags}

    assert not flagged & {"password", "nkey_seed"}


def test_a_malformed_flag_is_one_line(longreach: Callable[..., Result]):
    done = longreach("ls", "--ping-interval", "often")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "longreach: --ping-interval takes seconds: a number more than 0\n"


def test_the_page_in_docs_lists_each_setting_as_it_is():
    page = (Path(__file__).resolve().parents[3] / "docs" / "cli.md").read_text()

    for setting in SETTINGS:
        assert row(setting) in page, f"docs/cli.md lacks: {row(setting)}"
    assert page.count("| `LONGREACH_") == len(SETTINGS)


def row(setting: Setting) -> str:
    """A setting in the tables of docs/cli.md."""
    flag = f"`{setting.flags[0]}`" if setting.flags else ""
    default = setting.shown_default or ""
    return f"| `{setting.key}` | {flag} | `{setting.variable}` | {setting.help} | {default} |"
