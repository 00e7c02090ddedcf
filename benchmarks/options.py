"""Scenario `options`: what options of one call, and a new URI, cost beyond a plain call.

Client and node are in one process, on a broker in memory, so that figures are CPU time of both; what is
compared differs on the client alone. Each round measures all of them in turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.compare import Comparison, Target
from longreach import Mesh, Node, NodeSettings, Server, connect
from longreach.transport.memory import MemoryBroker

GOAL_US = 10.0
"""Beyond a plain call."""
_GOAL = Target("at most", 1.0)

Ask = Callable[[Mesh, int], Awaitable[object]]


def run(rounds: int, calls: int = 500) -> list[Comparison]:
    """Measure for so many rounds."""
    return asyncio.run(_run(rounds, calls))


async def _call(mesh: Mesh, n: int) -> object:
    return await mesh.call("docs.echo", {"text": "x"})


async def _call_with_options(mesh: Mesh, n: int) -> object:
    return await mesh.options(timeout_s=10 + n).call("docs.echo", {"text": "x"})


async def _read(mesh: Mesh, n: int) -> object:
    return await mesh.read("docs", "docs://same/0", fresh=True)


async def _read_another(mesh: Mesh, n: int) -> object:
    return await mesh.read("docs", f"docs://{time.perf_counter_ns()}/{n}", fresh=True)


async def _run(rounds: int, calls: int) -> list[Comparison]:
    docs = Server("docs")

    @docs.tool
    async def echo(text: str) -> str:
        return text

    @docs.resource("docs://{part}/{n}")
    async def page(part: str, n: str) -> str:
        return part

    broker = MemoryBroker()
    settings = NodeSettings(region="local")
    found = [
        Comparison("options of one call: CPU beyond a plain call", "µs", _GOAL, versus="goal"),
        Comparison("a resource's new URI: CPU beyond a known one", "µs", _GOAL, versus="goal"),
    ]
    async with Node(docs, settings=settings, link=broker.link()), connect(link=broker.link()) as mesh:
        await mesh.tools()
        for _ in range(rounds):
            for comparison, plain, other in zip(
                found, (_call, _read), (_call_with_options, _read_another), strict=True
            ):
                comparison.add(await _beyond(mesh, plain, other, calls), GOAL_US)
    return found


async def _beyond(mesh: Mesh, plain: Ask, other: Ask, calls: int) -> float:
    """How many µs of CPU `other` takes beyond `plain`; the least of several tries, each in turn."""
    plain_us, other_us = [], []
    for _ in range(5):
        plain_us.append(await _cpu_us(mesh, plain, calls))
        other_us.append(await _cpu_us(mesh, other, calls))
    return min(other_us) - min(plain_us)


async def _cpu_us(mesh: Mesh, ask: Ask, calls: int) -> float:
    began = time.process_time()
    for n in range(calls):
        await ask(mesh, n)
    return (time.process_time() - began) / calls * 1e6
