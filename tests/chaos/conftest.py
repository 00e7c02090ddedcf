"""One table of all faults, printed when all have run; and what may run beside what where times count."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.damage import Row, table
from tests.support.timing import TIMED

HERE = Path(__file__).parent
BESIDE = {
    "test_short_lived_jwts",
    "test_link_reset",
    "test_bad_link",
    "test_region_hangs_whole",
    "test_regions_cut_off_from_each_other",
}
"""Long and light: `make chaos` runs these beside the others, which run one after the other."""
LAST = "test_overload.py"
"""Wants the machine for itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if item.path.parent == HERE]
    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    mine.sort(key=lambda item: item.path.name == LAST)
    for place, item in zip(places, mine, strict=True):
        items[place] = item
        if TIMED:
            item.add_marker(pytest.mark.xdist_group("beside" if item.name in BESIDE else "in turn"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        Row(**value)
        for outcome in ("passed", "failed")
        for result in terminalreporter.getreports(outcome)
        for name, value in result.user_properties
        if name == "chaos" and result.when == "call"
    ]
    if rows:
        terminalreporter.section("chaos")
        for line in table(rows):
            terminalreporter.write_line(line)
