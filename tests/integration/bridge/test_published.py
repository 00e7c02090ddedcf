"""A real server from npm, as its users start it: bridged, called from another process, killed, and back."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.commands import Desk
from tests.support.outside import program, published

import longreach
from longreach import NatsOptions
from longreach.transport.embedded import find_running

PACKAGE = "@modelcontextprotocol/server-everything@2026.8.31"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def npx() -> str:
    """`npx`, with the package in its cache; without a registry there is nothing to test with."""
    published(PACKAGE)
    return program("npx")


def test_a_published_server_is_called_killed_and_called_again(desk: Desk, npx: str) -> None:
    node = desk.bridge("--name", "everything", "--", npx, "-y", PACKAGE, LONGREACH_ENV="HOME")
    node.until("  try", 200)

    called = desk.longreach("call", "everything.get-sum", "a=1", "b=2")
    assert "The sum of 1 and 2 is 3" in called.stdout, called
    read = json.loads(desk.longreach("call", "everything.echo", "message=hi", "--json").stdout)
    assert read["content"] == [{"type": "text", "text": "Echo: hi"}]

    ended: list[subprocess.CompletedProcess[str]] = []
    words = (
        "call",
        "everything.trigger-long-running-operation",
        "duration=60",
        "steps=60",
        "--timeout",
        "90",
    )
    calling = threading.Thread(target=lambda: ended.append(desk.longreach(*words)))
    calling.start()
    node.until("foreign.up")
    server = next(each for each in node.family() if each.name() == "node" and not each.children())
    _until_it_works(server)
    server.kill()
    calling.join(30)

    assert ended, "the call ends when the process is gone"
    assert ended[0].returncode == 5, "it may have run, and is not run again"
    node.until("foreign.back", 60)
    again = desk.longreach("call", "everything.get-sum", "a=2", "b=2")
    assert "The sum of 2 and 2 is 4" in again.stdout, again


async def test_it_asks_its_caller_in_the_middle(desk: Desk, npx: str) -> None:
    node = desk.bridge("--name", "everything", "--", npx, "-y", PACKAGE, LONGREACH_ENV="HOME")
    node.until("  try", 200)
    found = find_running(Path(desk.environment["LONGREACH_RUNTIME_DIR"]))
    assert found is not None
    asked: list[str] = []

    def on_elicit(params: Any) -> dict[str, object]:
        asked.append(params.message)
        return {"name": "joe", "check": True}

    options = NatsOptions(urls=(found.url,), token=found.token)
    async with longreach.connect(connection=options, on_elicit=on_elicit) as mesh:
        result = await mesh.call("everything.trigger-elicitation-request", {})

    assert len(asked) == 1
    assert "joe" in str(result.content)


def _until_it_works(server: psutil.Process) -> None:
    """Wait until the server has taken the call: it reports progress at once, and so it writes."""
    before = server.io_counters().write_count if hasattr(server, "io_counters") else 0
    for _ in range(200):
        if not hasattr(server, "io_counters") or server.io_counters().write_count > before:
            return
        psutil.wait_procs([server], timeout=0.05)
    raise AssertionError("the server took no call")
