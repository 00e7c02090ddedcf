"""One table of all faults, printed when all tests have run."""

from __future__ import annotations

import pytest
from tests.support.damage import Row, table


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
