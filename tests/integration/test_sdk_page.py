"""docs/sdk.md is true: its example runs as it stands."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands import Desk

DOCS = Path(__file__).parents[2] / "docs"
[EXAMPLE] = re.findall(r"```python\n(.*?)```", (DOCS / "sdk.md").read_text(), flags=re.DOTALL)
BROKER = '"nats://127.0.0.1:4222"'
SERVER = '''
from collections import Counter

from longreach import Server

docs = Server("docs")


@docs.tool
async def count_words(text: str) -> dict[str, int]:
    """Count words."""
    return dict(Counter(text.split()))
'''


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def test_the_example_runs_as_it_stands_but_for_the_brokers_address(desk: Desk) -> None:
    assert BROKER in EXAMPLE
    desk.write("app.py", SERVER)
    desk.node("app:docs").until("count_words")

    script = desk.write("call.py", EXAMPLE.replace(BROKER, ""))
    called = desk.shell(f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}")

    assert called.returncode == 0, called.stderr
    assert called.stdout.splitlines() == ["docs__count_words", "{'so': 2, 'far': 1, 'good': 1}"]
