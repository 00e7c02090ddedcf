"""Load that does not wait for answers, and probes that time single refusals."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from longreach.client.mesh import Mesh
from longreach.errors import LongreachError

TICK_S = 0.005
ROOT = Path(__file__).resolve().parents[2]


class Ended(NamedTuple):
    """One call: when it began and ended (monotonic s), and how: "ok", or the error's reason."""

    began: float
    ended: float
    how: str


@dataclass
class OpenLoad:
    """So many calls a second, whatever becomes of those before.

    Args:
        mesh: calls.
        tool: what is called.
        rate_per_s: how often.
        timeout_s: of each call.

    Attributes:
        calls: those that have ended.
        most_open: so many were under way at once.
        lag_s: by how much its own loop was late, at the worst.
    """

    mesh: Mesh
    tool: str
    rate_per_s: float
    timeout_s: float
    calls: list[Ended] = field(default_factory=list)
    most_open: int = 0
    lag_s: float = 0.0

    async def run(self, seconds: float) -> None:
        """Call for so long, and wait for the last answer."""
        mesh = self.mesh.options(timeout_s=self.timeout_s)
        began, made, opened = time.monotonic(), 0, 0

        async def one() -> None:
            nonlocal opened
            opened += 1
            at, how = time.monotonic(), "ok"
            try:
                _ = await mesh.call(self.tool)
            except LongreachError as error:
                how = f"{error.reason}/{error.delivered}"
            opened -= 1
            self.calls.append(Ended(at, time.monotonic(), how))

        async with asyncio.TaskGroup() as group:
            while (now := time.monotonic()) < began + seconds:
                due = int((now - began) * self.rate_per_s)
                for _ in range(due - made):
                    _ = group.create_task(one())
                made = due
                self.most_open = max(self.most_open, opened)
                await asyncio.sleep(TICK_S)
                self.lag_s = max(self.lag_s, time.monotonic() - now - TICK_S)

    @property
    def endings(self) -> Counter[str]:
        """How calls ended, and how many of each."""
        return Counter(call.how for call in self.calls)

    def goodput(self, since: float, until: float) -> float:
        """Answered calls a second, between two times (monotonic s)."""
        good = sum(1 for call in self.calls if call.how == "ok" and since <= call.ended < until)
        return good / (until - since)

    def answered(self, since: float, until: float) -> float:
        """Which share of the calls that were made between two times was answered with a result."""
        made = [call for call in self.calls if since <= call.began < until]
        return sum(1 for call in made if call.how == "ok") / len(made)

    @property
    def latest_s(self) -> float:
        """By how much the latest call outlived its deadline."""
        return max((call.ended - call.began - self.timeout_s for call in self.calls), default=0.0)


@dataclass
class Probes:
    """What became of single requests, each timed by a client of its own.

    Args:
        refusals: how long each refusal took, in seconds.
        errors: what they said.
        results: how many had a result while they went on: they took that much of what the tool can do.
        unanswered: how many had neither a result nor a refusal in time.
    """

    refusals: list[float]
    errors: list[dict[str, Any]]
    results: int
    unanswered: int


async def probe(url: str, caller: str, server: str, tool: str, seconds: float) -> Probes:
    """Send single requests as somebody, from another process, and time those that are refused."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.prober", url, caller, server, tool, f"{seconds}",
        stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds + 20):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            _ = await process.wait()
    return Probes(**json.loads(output))
