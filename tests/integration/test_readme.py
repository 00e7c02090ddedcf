"""README.md is true: what it shows is pasted into files and shells, and does what it says."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands import Desk

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SERVER, CALL = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = re.findall(r"`(longreach (?:ls|call)[^`]*)`", README)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def test_the_server_and_the_call_work_as_they_stand(desk: Desk) -> None:
    command = re.search(r"^longreach run (.*)$", README, flags=re.MULTILINE)
    assert command is not None
    desk.write("app.py", SERVER)
    node = desk.node(*shlex.split(command[1]))
    node.until("count_words")
    called = desk.shell(f"{shlex.quote(sys.executable)} {shlex.quote(str(desk.write('call.py', CALL)))}")
    assert called.returncode == 0, called.stderr
    shown = re.fullmatch(r"(\{.*\}) ran on \S+\n", called.stdout)
    assert shown is not None, called.stdout
    assert ast.literal_eval(shown[1]) == {"good": 1, "far": 1, "so": 2}
    assert len(COMMANDS) == 2
    listed, answered = (desk.shell(line) for line in COMMANDS)
    assert "count_words" in listed.stdout, listed
    assert '"so"' in answered.stdout, answered


def test_the_server_is_ten_lines_and_the_call_five() -> None:
    code = [line for line in SERVER.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 10
    assert len([line for line in CALL.splitlines() if line.strip()]) <= 5


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_what_make_is_said_to_do_it_can() -> None:
    targets = set(re.findall(r"`?make ([a-z]+)", README))
    known = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert targets <= known
    assert {"demo", "test"} <= targets
