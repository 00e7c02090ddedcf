"""A command line without processes, files or brokers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from longreach.cli.app import app


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables and no longreach.toml of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("LONGREACH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LONGREACH_DEBUG", "0")  # so that --debug in a test is undone after it
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def longreach() -> Callable[..., Result]:
    """Run a command line in this process."""

    def run(*words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=stdin)

    return run
