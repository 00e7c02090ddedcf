"""docs/bridge.md is true: its examples do what they say, its table is the code's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.support.commands import Desk
from tests.support.outside import published

from longreach_bridge.settings import TABLE

PAGE = (Path(__file__).parents[3] / "docs" / "bridge.md").read_text()
CONSOLES = [block.splitlines() for block in re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)]


def _words(line: str) -> list[str]:
    assert line.startswith("$ longreach ")
    return shlex.split(line)[2:]


def test_the_example_in_process(desk: Desk) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    run, call, printed = CONSOLES[0]
    desk.write(_words(run)[1], code)
    desk.node(*_words(run)[1:]).until("  try")

    assert desk.longreach(*_words(call)).stdout.splitlines() == [printed]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_example_of_a_process(desk: Desk) -> None:
    bridge, call, printed = CONSOLES[1]
    published(_words(bridge)[-1])
    desk.bridge(*_words(bridge)[1:], LONGREACH_ENV="HOME").until("  try", 200)

    assert desk.longreach(*_words(call)).stdout.splitlines() == [printed]


def test_it_names_the_table() -> None:
    assert f"`[{TABLE}]`" in PAGE
