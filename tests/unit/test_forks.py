"""What a forked child does not inherit of a process that hears signals."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio, multiprocessing, os, signal, sys
from longreach.node.signals import Signals

def child(ready):
    ready.send(None)
    signal.pause()

async def main():
    heard = []
    Signals(heard.append).open()
    context = multiprocessing.get_context("fork")
    def play():
        for number in (signal.SIGTERM, signal.SIGINT):
            here, there = context.Pipe()
            process = context.Process(target=child, args=(there,))
            process.start()
            here.recv()
            os.kill(process.pid, number)
            process.join()
            print(process.exitcode, flush=True)
    if sys.argv[1] == "thread":
        await asyncio.to_thread(play)
    else:
        play()
    for _ in range(20):
        await asyncio.sleep(0)
    print(heard, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        while not heard:
            await asyncio.sleep(0.01)
    print(heard == [signal.SIGTERM], flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("where", ["thread", "loop"])
def test_a_signal_for_a_forked_child_ends_the_child_and_not_the_node(where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, where], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split("\n")[:4] == ["-15", "1", "[]", "True"], done.stderr


def test_longreach_hears_signals_by_hear_alone() -> None:
    """A signal that is heard otherwise is inherited by what a tool forks."""
    found = [
        path.name
        for folder in ("framework", "services")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\.add_signal_handler\(", path.read_text())
    ]
    assert found == ["forks.py"]
