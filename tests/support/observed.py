"""A `longreach` command that tells what it holds: `python -m tests.support.observed PORT gateway ...`;
or without PORT, which is then in OBSERVED_PORT.

Whoever connects to PORT gets one line: the unfinished tasks, the descriptors, and the memory in bytes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import threading
from dataclasses import dataclass

import psutil

from longreach.cli import main


@dataclass(frozen=True)
class Holdings:
    """What a process holds at one moment."""

    tasks: int
    descriptors: int
    memory: int


def holdings(port: int) -> Holdings:
    """Ask an observed process."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as asking:
        line = asking.makefile().readline()
    return Holdings(*map(int, line.split()))


def _answer(listening: socket.socket) -> None:
    me = psutil.Process()
    while True:
        asking, _ = listening.accept()
        with asking:
            gc.collect()
            tasks = sum(isinstance(each, asyncio.Task) and not each.done() for each in gc.get_objects())
            line = f"{tasks} {me.num_fds() - 1} {me.memory_info().rss}\n"  # less the asker's own
            asking.sendall(line.encode())


if __name__ == "__main__":
    port = int(os.environ.get("OBSERVED_PORT") or sys.argv.pop(1))
    server = socket.create_server(("127.0.0.1", port))
    threading.Thread(target=_answer, args=(server,), daemon=True).start()
    main()
