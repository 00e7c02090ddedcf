"""Each command imports what it needs and no more, in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("longreach.cli.app", {"asyncio", "nats", "rich", "msgspec", "tomllib"}),
        ("longreach.cli.call", {"nats", "rich", "anyio", "longreach.node", "longreach.actor"}),
        ("longreach.cli.loop", {"rich", "anyio", "longreach.node", "longreach.actor", "longreach.cli.run"}),
        ("longreach.cli.run", {"nats", "rich", "anyio", "longreach.client", "longreach.node"}),
        ("longreach.cli.subject", {"nats", "rich", "asyncio"}),
    ],
)
def test_commands_import_what_they_need_and_no_more(module: str, unwanted: set[str]):
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert not unwanted & set(done.stdout.split())
