from __future__ import annotations

import os
from pathlib import Path

import pytest

from longreach.errors import ConfigError
from longreach_gateway.auth.principal import Principal
from longreach_gateway.auth.tokens import TokenFile

LONG = "0123456789abcdef"


def _file(folder: Path, text: str) -> str:
    path = folder / "tokens"
    path.write_text(text)
    return str(path)


def test_a_token_names_its_principal(tmp_path: Path):
    tokens = TokenFile(_file(tmp_path, f"# who\n\nalice:{LONG}\nurn:svc:bob : {LONG}x \n"))

    assert tokens.find(LONG.encode()) == Principal("alice")
    assert tokens.find(f"{LONG}x".encode()) == Principal("urn:svc:bob")
    assert tokens.find(b"") is None
    assert tokens.find(b"\xff") is None
    assert tokens.find(f"{LONG}y".encode()) is None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("alice\n", "line 1"),
        (f"\n:{LONG}\n", "line 2"),
        ("alice:short\n", "shorter"),
        (f"alice:{LONG} {LONG}\n", "line 1"),
        (f"alice:{LONG}é\n", "line 1"),
        (f"alice:{LONG}\nbob:{LONG}\n", "line 2"),
    ],
)
def test_a_malformed_file_is_refused_without_showing_what_is_in_it(tmp_path: Path, text: str, wrong: str):
    with pytest.raises(ConfigError) as refused:
        TokenFile(_file(tmp_path, text))

    assert wrong in str(refused.value)
    assert LONG not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        TokenFile(str(tmp_path / "none"))


def test_a_file_that_changes_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path):
    path = _file(tmp_path, f"alice:{LONG}\n")
    tokens = TokenFile(path)
    assert not tokens.reload()

    _file(tmp_path, f"bob:{LONG}{LONG}\n")
    assert tokens.reload()
    assert tokens.find(LONG.encode()) is None
    _file(tmp_path, "broken")
    assert not tokens.reload()
    assert tokens.find(f"{LONG}{LONG}".encode()) == Principal("bob")
    os.unlink(path)
    assert not tokens.reload()
    assert tokens.find(f"{LONG}{LONG}".encode()) == Principal("bob")
