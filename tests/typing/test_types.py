"""Calls are typed end to end: mypy accepts what is right, and says what is wrong where it is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, int, str]]:
    """(file, line, code) of each error that mypy reports for the samples."""
    command = [
        sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"),
        "--cache-dir", str(tmp_path_factory.mktemp("mypy")), "--no-pretty", "--no-error-summary",
        str(SAMPLES / "calls.py"), str(SAMPLES / "mistakes.py"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    errors = re.findall(r"^(\S+):(\d+): error: .*\[([\w-]+)\]$", done.stdout, flags=re.MULTILINE)
    return {(Path(file).name, int(line), code) for file, line, code in errors}


@pytest.mark.timeout(330)  # mypy needs 10 s of CPU
@pytest.mark.parametrize("name", ["calls.py", "mistakes.py"])
def test_mypy_says_what_the_comments_expect_and_nothing_else(name: str, said: set[tuple[str, int, str]]):
    expected = {
        (name, number, code)
        for number, line in enumerate((SAMPLES / name).read_text().splitlines(), 1)
        for code in re.findall(r"# error: \[([\w-]+)\]", line)
    }
    assert {error for error in said if error[0] == name} == expected
    assert bool(expected) is (name == "mistakes.py")


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "framework" / "longreach" / "py.typed").exists()
