"""The broker hangs (SIGSTOP) with calls and large bodies in flight, and comes back.

Every call ends by its deadline, nothing begins after its deadline, and everything works again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.broker import Broker
from tests.support.damage import Row, report
from tests.support.nodes import NodeProcess
from tests.support.timing import allowed

from longreach import connect
from longreach.client.mesh import Mesh
from longreach.errors import LongreachError

STOP_S = float(os.environ.get("LONGREACH_STOP_S", "7"))
SLACK_S = 0.5
"""What is allowed for a busy machine between a deadline and the moment a test notices."""


@dataclass
class Ended:
    ident: str
    deadline: float
    wall_deadline: float
    ended: float
    error: LongreachError | None
    began: float
    attempts: int


async def one(mesh: Mesh, tool: str, number: int, arguments: dict[str, object], timeout_s: float) -> Ended:
    ident = f"{tool}-{number}"
    began, wall = time.monotonic(), time.time()
    error, attempts = None, 1
    try:
        arguments = {**arguments, "ident": ident}
        attempts = (await mesh.call(f"chaos.{tool}", arguments, timeout_s=timeout_s)).attempts
    except LongreachError as caught:
        error = caught
    return Ended(ident, began + timeout_s, wall + timeout_s, time.monotonic(), error, began, attempts)


@pytest.mark.timeout(180)
async def test_broker_hangs_with_calls_in_flight(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    effects = tmp_path / "effects"
    with Broker() as broker:
        node = await NodeProcess.start(broker.url, effects=str(effects))
        try:
            async with connect(broker.url) as mesh:
                await mesh.call("chaos.look", {"seconds": 0, "ident": "warm"})
                body = "x" * 100_000
                short = STOP_S / 2
                running = [one(mesh, "change", n, {"seconds": 1.0}, short) for n in range(32)]
                running += [one(mesh, "look", n, {"seconds": 0.6}, STOP_S + 10) for n in range(32)]
                tasks = [asyncio.ensure_future(call) for call in running]  # noqa: TID251 - awaited below
                await asyncio.sleep(0.4)  # they run now, and their answers meet a broker that hangs
                broker.stop()
                large = [one(mesh, "store", n, {"blob": body}, short) for n in range(100)]
                tasks += [asyncio.ensure_future(call) for call in large]  # noqa: TID251 - awaited below
                await asyncio.sleep(STOP_S)
                broker.cont()
                ended = await asyncio.wait_for(asyncio.gather(*tasks), STOP_S + 20)
                for call in ended:
                    assert call.ended <= call.deadline + allowed(SLACK_S), call
                    assert call.error is None or call.error.delivered in ("no", "unknown"), call
                await mesh.call("chaos.look", {"seconds": 0, "ident": "after"}, timeout_s=15)
        finally:
            await node.close()
    begun = {line.split()[0]: int(line.split()[1]) / 1e9 for line in effects.read_text().splitlines()}
    late = [c for c in ended if c.ident in begun and begun[c.ident] > c.wall_deadline + 0.05]
    wrong = [c for c in ended if c.ident in begun and c.error is not None and c.error.delivered == "no"]
    reads_failed = [c for c in ended if c.ident.startswith("look") and c.error]
    runs = Counter(line.split()[0] for line in effects.read_text().splitlines())
    doubled = sum(runs[call.ident] > 1 for call in ended if not call.ident.startswith("look"))
    endings = Counter(call.error.delivered for call in ended if call.error and call not in reads_failed)
    retried = sum(call.attempts > 1 for call in ended)
    longest_s = max(call.ended - call.began for call in ended)
    name = f"the only broker stopped for {STOP_S:g} s"
    report(
        request,
        Row(name, 1, len(ended), 64, retried, doubled, longest_s,
            failed=len(reads_failed) + endings["yes"], unknown=endings["unknown"], refused=endings["no"]),
    )  # fmt: skip
    assert not late
    assert not doubled
    assert not wrong
    assert not reads_failed
