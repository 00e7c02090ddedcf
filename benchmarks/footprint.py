"""Scenario `footprint`: the memory of an idle node, and how long an import takes."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.compare import Comparison, Target
from benchmarks.processes import ROOT, Peer, broker, peer

_SETTLE_S = 1.0
_LIMIT = Target("at most", 2.0)
_BARE = "import nats, msgspec, uvloop"
_TIMER = (
    "import sys, time; began = time.perf_counter(); exec(sys.argv[1]); print(time.perf_counter() - began)"
)


def run(rounds: int) -> list[Comparison]:
    """Measure both sides in turn, each time with fresh processes."""
    return [*memory(rounds), *imports(rounds * 3)]


def memory(rounds: int) -> list[Comparison]:
    """The resident memory of an idle node, run by the command and in code, against a connected nats-py."""
    by_command = Comparison("memory of an idle node (longreach run)", "MiB", _LIMIT)
    in_code = Comparison("memory of an idle node (Node in code)", "MiB", _LIMIT)
    with broker() as running:
        url = running.url
        for _ in range(rounds):
            command = ("-m", "longreach.cli", "run", "benchmarks.echo_server:server", "--nats", url)
            with (
                peer("idle", url) as bare,
                peer("node", url) as coded,
                Peer(*command, ready="longreach call") as commanded,
            ):
                time.sleep(_SETTLE_S)
                by_command.add(commanded.rss_mib, bare.rss_mib)
                in_code.add(coded.rss_mib, bare.rss_mib)
    return [by_command, in_code]


def imports(rounds: int) -> list[Comparison]:
    """The time of imports in fresh interpreters, against that of what longreach stands on."""
    compared = {
        "import longreach": Comparison("import longreach", "ms", _LIMIT),
        "from longreach import Node, Server": Comparison("import of what a node needs", "ms", _LIMIT),
        "from longreach import connect": Comparison("import of what a client needs", "ms", _LIMIT),
    }
    for statement in (_BARE, *compared):
        import_ms(statement)  # once, so that nothing has to be compiled or read from disk
    for number in range(rounds):
        statements = [_BARE, *compared]
        if number % 2:
            statements.reverse()
        found = {statement: import_ms(statement) for statement in statements}
        for statement, comparison in compared.items():
            comparison.add(found[statement], found[_BARE])
    return list(compared.values())


def import_ms(statement: str) -> float:
    """How long a statement takes in a fresh interpreter, in milliseconds."""
    command = [sys.executable, "-c", _TIMER, statement]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout) * 1000
