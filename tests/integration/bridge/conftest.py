"""A working directory with a broker of its own, bridges in it, and callers."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.bridges import Meshed, meshed
from tests.support.commands import Desk

FOREIGN = (sys.executable, "-m", "tests.support.foreign")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    # A child gets nothing of ours without being told to, the path to the tests included.
    made.environment["LONGREACH_ENV"] = "PYTHONPATH"
    yield made
    made.close()


@pytest.fixture
async def mesh_of() -> AsyncIterator[Meshed]:
    async with meshed() as made:
        yield made
