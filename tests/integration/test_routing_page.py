"""docs/routing.md is true: its examples run as they stand; and what `explain` and `canary` print."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import Desk

PAGE = (Path(__file__).parents[2] / "docs" / "routing.md").read_text()
[EXAMPLE] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
COMMANDS = [line[2:] for block in re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)
            for line in block.splitlines()]  # fmt: skip
SERVER = """
import os

from longreach import Server

VERSION = os.environ.get("APP_VERSION", "2.0.0")
docs = Server("docs", version=VERSION)


@docs.tool(read_only=True)
async def hello() -> str:
    return VERSION
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.write("app.py", SERVER)
    yield made
    made.close()


def shares(desk: Desk) -> dict[str, int]:
    said = desk.longreach("canary", "docs", "--json")
    return {row["version"]: row["weight"] for row in json.loads(said.stdout)}


def places(desk: Desk, *flags: str) -> list[dict[str, Any]]:
    said = desk.longreach("explain", "docs.hello", "--json", *flags)
    return list(json.loads(said.stdout)["places"])


def test_the_page_is_run_from_its_first_example_to_its_last(desk: Desk) -> None:
    explaining, running, weighing, promoting = COMMANDS
    desk.node("app:docs", "--region", "us").until("hello")
    canary = desk.node(*shlex.split(running)[2:], APP_VERSION="2.1.0")
    canary.until("hello")

    explained = desk.shell(explaining)
    assert explained.returncode == 0, explained.stderr
    assert "a canary of weight 0" in explained.stdout
    assert "preferred" in explained.stdout
    assert shares(desk) == {"2.0.0": 100, "2.1.0": 0}
    asked = [(row["version"], row["share"]) for row in places(desk, "--version", "2.1.0")]
    assert asked == [("2.1.0", 1.0), ("2.0.0", 0.0)]
    assert desk.longreach("call", "docs.hello", "--version", "2.1.0").stdout == "2.1.0\n"
    assert desk.longreach("call", "docs.hello").stdout == "2.0.0\n"

    weighed = desk.shell(weighing)
    assert weighed.returncode == 0, weighed.stderr
    assert "10 %" in weighed.stdout
    assert shares(desk) == {"2.0.0": 100, "2.1.0": 10}
    assert desk.shell(promoting).returncode == 0
    assert shares(desk) == {"2.0.0": 100, "2.1.0": 100}

    script = desk.write("call.py", EXAMPLE)
    called = desk.shell(f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}")
    assert called.returncode == 0, called.stderr
    assert called.stdout.splitlines() == ["2.1.0", "2.1.0 eu"]

    off = desk.longreach("canary", "docs", "2.1.0", "--off")
    assert (off.returncode, shares(desk)["2.1.0"]) == (0, 0)


def test_what_cannot_be_is_told(desk: Desk) -> None:
    desk.node("app:docs").until("hello")
    none = desk.longreach("call", "docs.hello", "--version", ">=3")
    assert (none.returncode, "fits >=3; live: 2.0.0 (in local)" in none.stderr) == (3, True)
    nobody = desk.longreach("explain", "docs.hello", "--version", ">=3")
    assert (nobody.returncode, "no instance of a version that fits >=3" in nobody.stdout) == (3, True)
    absent = desk.longreach("explain", "docs.helo")
    assert (absent.returncode, "did you mean hello?" in absent.stderr) == (3, True)
    unknown = desk.longreach("canary", "docs", "9.0", "--weight", "5")
    assert (unknown.returncode, "live: 2.0.0" in unknown.stderr) == (3, True)
    for words in (("--weight", "5"), ("2.0.0", "--weight", "5", "--off"), ("2.0.0", "--weight", "101")):
        assert desk.longreach("canary", "docs", *words).returncode == 2
    malformed = desk.longreach("call", "docs.hello", "--version", "~2")
    assert (malformed.returncode, "is no range of versions" in malformed.stderr) == (2, True)
