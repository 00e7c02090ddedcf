from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from longreach.cli.settings import resolve, settings_of
from longreach.errors import ConfigError, DeclarationError
from longreach_bridge.cli import bridge
from longreach_bridge.settings import TABLE, BridgeSettings, bridge_settings, environment_of


def settings(**values: Any) -> BridgeSettings:
    return BridgeSettings(**{"command": ("server",), **values})


def test_flags_the_file_and_the_environment_are_read(tmp_path: Path) -> None:
    file = tmp_path / "longreach.toml"
    file.write_text('[bridge]\ncommand = "npx -y \'a server\'"\nenv_file = "secrets"\nregion = "eu"\n')
    environment = {"LONGREACH_NAME": "github", "LONGREACH_BEARER_TOKEN": "t"}

    found = resolve(TABLE, {"stateless": True, "env": ("A,B",)}, config=str(file), environment=environment)

    assert found["bridge"] == {
        "name": "github",
        "command": ("npx", "-y", "a server"),
        "env": ("A", "B"),
        "env_file": str(tmp_path / "secrets"),
        "bearer_token": "t",
        "stateless": True,
    }
    assert found["node"] == {"region": "eu"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"command": ()}, "name one server"),
        ({"url": "https://x"}, "name one server"),
        ({"command": (), "url": "x.test"}, "begins with"),
        ({"bearer_token_file": "f"}, "are for --url"),
        ({"command": (), "url": "https://x", "env": ("A",)}, "are for a process"),
        ({"command": (), "url": "https://x", "bearer_token": "a", "bearer_token_file": "b"}, "not from both"),
    ],
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(**values)
    with pytest.raises(DeclarationError):
        settings(name="a.b")


def test_a_process_gets_what_is_named_and_no_more(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("C=3\n")
    ours = {"A": "1", "B": "2", "LONGREACH_TOKEN": "secret"}

    assert environment_of(settings(env=("A",), env_file=str(file)), ours) == {"A": "1", "C": "3"}
    with pytest.raises(ConfigError, match="names D"):
        environment_of(settings(env=("D",)), ours)


def test_secrets_are_not_shown() -> None:
    shown = repr(settings(command=(), url="https://x.test", bearer_token="hunter2"))

    assert "hunter2" not in shown


def test_no_flag_takes_a_secret() -> None:
    flags = {flag for each in settings_of(TABLE) for flag in each.flags}

    assert "--bearer-token" not in flags
    assert bridge_settings({"bridge": {"command": ("a",)}}).command == ("a",)


def test_the_page_in_docs_lists_each_setting_as_it_is() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "bridge.md").read_text()
    own = [each for each in settings_of(TABLE) if each.target.startswith("bridge.")]

    for each in own:
        flag = f"`{each.flags[0]}`" if each.flags else ""
        row = f"| `{each.key}` | {flag} | `{each.variable}` | {each.help} | {each.shown_default or ''} |"
        assert row in page, f"docs/bridge.md lacks: {row}"
    assert page.count("| `LONGREACH_") == len(own)


def test_the_help_says_what_there_is() -> None:
    said = CliRunner().invoke(bridge, ["--help"]).output

    for words in ("A process", "A URL", "Trust", "--trust-hints", "--stateless", "-- COMMAND", "[bridge]"):
        assert words in said
