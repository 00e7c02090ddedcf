from __future__ import annotations

import os
from pathlib import Path

import pytest

from longreach.errors import ConfigError
from longreach_bridge.credentials import header_secrets, read_env_file


def secrets(**options: object) -> dict[str, str]:
    given = {"bearer_token": None, "bearer_token_file": None, "header_env": {}, "header_file": {}, **options}
    return header_secrets(**given)()  # type: ignore[arg-type]


def test_headers_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from file\n")

    found = secrets(
        bearer_token="tok",
        header_env={"X-Key": "KEY"},
        header_file={"X-File": str(file)},
        environment={"KEY": "from env"},
    )

    assert found == {"Authorization": "Bearer tok", "X-Key": "from env", "X-File": "from file"}


def test_a_renewed_token_is_read_again_and_a_missing_one_is_the_last(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    headers = header_secrets(bearer_token=None, bearer_token_file=str(file), header_env={}, header_file={})
    assert headers() == {"Authorization": "Bearer old"}

    file.write_text("renewed")
    os.utime(file, ns=(1, 1))
    assert headers() == {"Authorization": "Bearer renewed"}
    file.unlink()
    assert headers() == {"Authorization": "Bearer renewed"}


@pytest.mark.parametrize("text", ["", "\n", "a\nb", "a\0b"])
def test_a_file_holds_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)

    with pytest.raises(ConfigError, match="one line"):
        secrets(bearer_token_file=str(file))


def test_what_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="KEY"):
        secrets(header_env={"X": "KEY"}, environment={})
    with pytest.raises(ConfigError, match="cannot be read"):
        secrets(header_file={"X": str(tmp_path / "nothing")})
    with pytest.raises(ConfigError, match="one line"):
        secrets(header_env={"X": "KEY"}, environment={"KEY": "a\r\nEvil: 1"})


def test_variables_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\n\nA=1\nexport B = 'two words'\nC=\"x=y\"\nD=\n")

    assert read_env_file(file) == {"A": "1", "B": "two words", "C": "x=y", "D": ""}


@pytest.mark.parametrize("line", ["secret", "1A=x", "a b=c"])
def test_a_line_that_is_none_is_named_by_its_number_only(tmp_path: Path, line: str) -> None:
    file = tmp_path / "env"
    file.write_text(f"A=1\n{line}\n")

    with pytest.raises(ConfigError, match="line 2") as caught:
        read_env_file(file)
    assert line not in str(caught.value)
