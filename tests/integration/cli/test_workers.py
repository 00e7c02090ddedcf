"""`longreach run --workers N`: processes that are kept up, and leave nothing behind."""

from __future__ import annotations

import json
import signal

import psutil
from tests.support.commands import Desk, RunningNode, gone


def _start(desk: Desk, *words: str) -> RunningNode:
    node = desk.node("app:docs", "--workers", "2", *words)
    node.until("try")
    return node


def _nodes(desk: Desk) -> int:
    return len(json.loads(desk.longreach("ls", "nodes", "--json").stdout))


def test_workers_serve_together_and_drain_together(desk: Desk):
    node = _start(desk)
    family = node.family()
    assert "and 1 more" in node.said
    assert _nodes(desk) == 2
    assert desk.longreach("call", "docs.locate", "zip=1").stdout == "zip '1'\n"

    node.signal(signal.SIGTERM)

    assert node.ended() == 0
    assert node.said.count("node.stopped") == 2
    assert gone(family) == []


def test_a_worker_that_is_killed_comes_back(desk: Desk):
    node = _start(desk)
    victim = node.workers()[0]

    victim.kill()
    node.until("node.serving", times=3)

    assert "killed by SIGKILL" in node.said
    assert victim.pid not in {worker.pid for worker in node.workers()}
    assert _nodes(desk) == 2


def test_a_worker_whose_node_is_drained_stays_down(desk: Desk):
    node = _start(desk)
    names = [shown["name"] for shown in json.loads(desk.longreach("ls", "nodes", "--json").stdout)]

    assert desk.longreach("drain", names[0]).returncode == 0
    node.until("verdict=done")
    assert _nodes(desk) == 1
    assert desk.longreach("drain", names[1]).returncode == 0

    assert node.ended() == 0


def test_workers_die_with_a_supervisor_that_is_killed(desk: Desk):
    node = _start(desk)
    family = node.family()

    node.signal(signal.SIGKILL)

    assert len(family) >= 4
    assert gone(family) == []


def test_the_closed_pipe_alone_ends_a_worker(desk: Desk):
    """Where the system has no signal for the death of a parent."""
    child = (
        "import os, time\n"
        "from longreach.node import worker\n"
        "worker._die_with_parent = lambda supervisor: None\n"
        "worker.attach()\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(600)\n"
    )
    supervisor = desk.python(
        "import asyncio, sys\n"
        "from longreach.node.workers import Workers\n"
        f"asyncio.run(Workers(1, [sys.executable, '-c', {child!r}]).run())\n"
    )
    assert supervisor.stdout is not None
    worker = psutil.Process(int(supervisor.stdout.readline()))

    supervisor.kill()

    assert gone([worker]) == []


def test_a_server_that_cannot_start_ends_its_workers_with_the_reason(desk: Desk):
    desk.write(
        "broken.py",
        "from contextlib import asynccontextmanager\n"
        "from longreach import Server\n"
        "@asynccontextmanager\n"
        "async def lifespan(server):\n"
        "    raise RuntimeError('no database')\n"
        "    yield\n"
        "docs = Server('docs', lifespan=lifespan, intensity=0)\n",
    )
    node = desk.node("broken", "--workers", "2")

    assert node.ended() == 1
    line = next(line for line in node.said.splitlines() if line.startswith("longreach: "))
    assert "no database" in line


def test_workers_that_cannot_start_end_the_supervisor_with_their_reason(desk: Desk):
    node = desk.node("app:nothing", "--workers", "2")

    assert node.ended() == 2
    assert "longreach: the workers cannot be kept up: nothing of app is not there" in node.said
    assert "Traceback" not in node.said


def test_workers_that_keep_dying_end_the_supervisor(desk: Desk):
    desk.write("dying.py", "import os, longreach\ndocs = longreach.Server('docs')\nos._exit(9)\n")

    node = desk.node("dying:docs", "--workers", "1", "--workers", "2")

    assert node.ended() == 9
    assert "the workers cannot be kept up: exit code 9" in node.said
    assert "verdict=give_up" in node.said


def test_more_workers_than_the_machine_takes_are_refused_before_anything_is_started(desk: Desk):
    node = desk.node("app:docs", "--workers", "1000000")

    assert node.ended() == 2
    assert "workers=1000000 is more than this machine takes: at most" in node.said
    assert "broker.started" not in node.said
    assert "Traceback" not in node.said


def test_the_second_signal_stops_workers_at_once(desk: Desk):
    node = _start(desk)
    family = node.family()
    for worker in node.workers():
        worker.suspend()  # it cannot drain

    node.signal(signal.SIGINT)
    node.until("workers.draining")
    node.signal(signal.SIGINT)

    node.ended(20)
    assert gone(family) == []


def test_workers_that_still_start_end_at_a_signal(desk: Desk):
    node = desk.node("app:docs", "--workers", "2")
    node.until("worker.started", times=2)
    family = node.family()

    node.signal(signal.SIGTERM)

    assert node.ended() == 0
    assert gone(family) == []


def test_a_worker_reads_nothing_from_standard_input(desk: Desk):
    desk.write(
        "reads.py",
        "import sys, longreach\n"
        "docs = longreach.Server('docs')\n"
        "assert sys.stdin.read() == ''\n"
        "@docs.tool\n"
        "async def hello() -> str:\n"
        "    return 'hello'\n",
    )

    node = desk.node("reads:docs", "--workers", "2")
    node.until("try")

    assert all(isinstance(worker, psutil.Process) for worker in node.workers())
    assert len(node.workers()) == 2
