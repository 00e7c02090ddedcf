"""Programs that tests need and pip does not bring.

Without one, `make test` leaves out what needs it and says so. CI sets LONGREACH_COMPLETE=1: it leaves nothing
out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

_COMPLETE = os.environ.get("LONGREACH_COMPLETE", "0") != "0"


def program(name: str) -> str:
    """Return the path of a program of Node.js; without it the test is left out."""
    found = shutil.which(name)
    if found is None:
        leave_out(f"there is no {name} on this machine: install Node.js and npm")
    return found


def published(package: str) -> None:
    """Leave the test out if npm cannot reach its registry, or does not find `package` there."""
    command = [program("npm"), "view", package, "version", "--json"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if asked.returncode != 0:
        leave_out(f"the registry of npm cannot be reached: {asked.stderr.strip()[-200:]}")


def leave_out(why: str) -> NoReturn:
    """Skip the test, or fail it where nothing may be left out (LONGREACH_COMPLETE=1)."""
    if _COMPLETE:
        pytest.fail(why)
    pytest.skip(why)
