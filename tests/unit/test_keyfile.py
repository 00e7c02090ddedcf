from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from longreach.errors import ConfigError
from longreach.keyfile import KeyFile

LOG = logging.getLogger("longreach.tests.keyfile")


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 0


def parse(text: str) -> list[str]:
    if not text.split():
        raise ConfigError("it holds no keys")
    return text.split()


def write(file: Path, text: str) -> None:
    """Replace the file, so that no two states of it look alike."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    write(path, "one")
    return path


def test_it_is_the_same_object_until_the_file_changes(file: Path):
    keys = KeyFile(file, "the keys", "keys", parse, LOG)

    first = keys.current()
    assert first == ["one"]
    assert keys.current() is first
    write(file, "two one")
    assert keys.current() == ["two", "one"]


@pytest.mark.parametrize("spoil", [lambda file: write(file, ""), Path.unlink, lambda file: write(file, "é")])
def test_what_cannot_be_read_leaves_what_was_there(file: Path, spoil, caplog: pytest.LogCaptureFixture):
    keys = KeyFile(file, "the keys", "keys", parse, LOG)
    spoil(file)

    with caplog.at_level(logging.WARNING):
        assert keys.current() == ["one"]
        assert keys.current() == ["one"]

    assert [record.getMessage() for record in caplog.records] == ["keys.unreadable"]
    write(file, "three")
    assert keys.current() == ["three"]


def test_a_file_that_is_not_there_at_first_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"the keys in .*nothing cannot be read: No such file"):
        KeyFile(tmp_path / "nothing", "the keys in", "keys", parse, LOG)


def test_it_is_looked_at_no_more_often_than_it_is_told(file: Path):
    clock = Hands()
    keys = KeyFile(file, "the keys", "keys", parse, LOG, every_s=5.0, clock=clock)
    write(file, "two")

    clock.now = 4.9
    assert keys.current() == ["one"]
    clock.now = 5.0
    assert keys.current() == ["two"]
