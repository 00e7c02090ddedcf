"""`make soak`: random faults for ten minutes, 64 calls in flight; each call ends once, and nothing grows.

LONGREACH_SOAK_S says how long it takes, LONGREACH_SOAK_SEED which faults come. What is measured lives through
all of it: a node, the client, a gateway and a broker; when it is quiet: after a warm-up, and at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from tests.support.commands import RunningNode
from tests.support.damage import ROOT, Damage, report
from tests.support.gateways import GatewayProcess, message
from tests.support.http import post, until_offered
from tests.support.observed import holdings

from longreach import connect
from longreach.client.mesh import Mesh
from longreach.errors import LongreachError
from longreach.testing import Broker, Cluster, NodeProcess, Proxy, free_port

SOAK_S = float(os.environ.get("LONGREACH_SOAK_S", "10"))
SEED = int(os.environ.get("LONGREACH_SOAK_SEED", "4"))
WARM_UP = 0.3
TIMEOUT_S = 30.0
GROWTH_MB = {"node": 24.0, "client": 48.0, "gateway": 24.0, "broker": 24.0}
SECONDS = (0.005, 0.3, 1.0)
MODULE = "tests.support.soak_node:chaos"
_QUIET_S = 20.0


@dataclass
class Place:
    """A cluster, nodes that suffer, and what lives through all of it."""

    cluster: Cluster
    nodes: list[NodeProcess]
    links: list[Proxy]
    mesh: Mesh
    gateway: GatewayProcess
    ports: dict[str, int]
    effects: Path
    random: random.Random
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def steady_broker(self) -> Broker:
        return self.cluster.brokers[0]

    # Faults; each is over when it returns

    async def kill_a_node(self) -> None:
        node = self.random.choice(self.nodes)
        node.kill()
        await node.restart()

    async def stop_a_node(self) -> None:
        node = self.random.choice(self.nodes)
        node.stop()
        await asyncio.sleep(self.random.uniform(0.1, 1.5))
        node.cont()

    async def drain_a_node(self) -> None:
        node = self.random.choice(self.nodes)
        node.terminate()
        await node.ended(30)
        await node.restart()

    async def cut_a_link(self) -> None:
        link = self.random.choice(self.links)
        link.cut(closing=self.random.random() < 0.5)
        await asyncio.sleep(self.random.uniform(0.05, 1.5))
        link.heal()

    async def spoil_a_link(self) -> None:
        link = self.random.choice(self.links)
        link.delay(self.random.uniform(0.01, 0.1))
        link.drop(0.02)
        await asyncio.sleep(self.random.uniform(0.2, 1.0))
        link.heal()

    async def kill_a_broker(self) -> None:
        broker = self.random.choice(self.cluster.brokers[1:])
        broker.kill()
        await broker.restart()
        await self.cluster.joined()

    async def restart_a_broker(self) -> None:
        broker = self.random.choice(self.cluster.brokers[1:])
        broker.lame_duck()
        await broker.ended(60)
        await broker.restart()
        await self.cluster.joined()

    async def change_tools(self) -> None:
        for _ in range(4):
            with contextlib.suppress(LongreachError):
                await self.mesh.call("chaos.toggle", {"number": self.random.randrange(8)})

    async def suffer(self, until: float) -> None:
        """One fault after the other, until it is time."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.kill_a_node, self.stop_a_node, self.drain_a_node, self.cut_a_link, self.spoil_a_link,
            self.kill_a_broker, self.restart_a_broker, self.change_tools,
        ]  # fmt: skip
        row: list[Callable[[], Awaitable[None]]] = []
        while time.monotonic() < until:
            row = row or self.random.sample(kinds, len(kinds))  # each comes as often as the others
            fault = row.pop()
            self.faults[fault.__name__] += 1
            await fault()
            await asyncio.sleep(self.random.uniform(0.05, 0.5))

    # What is held

    async def held(self) -> dict[str, dict[str, float]]:
        """Of each that lives through it: memory (MB), tasks, descriptors, subscriptions."""
        gc.collect()
        me = psutil.Process()
        found: dict[str, dict[str, float]] = {
            "client": {
                "memory": me.memory_info().rss / 2**20,
                "tasks": sum(not _is_a_proxys(task) for task in asyncio.all_tasks()),
                "descriptors": me.num_fds() - 2 * sum(link.connections for link in self.links),
                "calls": sum(len(asker.liveness) for asker in self.mesh._session.askers),
            }
        }
        for name, port in self.ports.items():
            its = await asyncio.to_thread(holdings, port)
            found[name] = {"memory": its.memory / 2**20, "tasks": its.tasks, "descriptors": its.descriptors}
        # Links wander between the brokers: what they hold is counted over all of them.
        clients = [
            client
            for broker in self.cluster.brokers
            for client in (await broker.monitor("connz?limit=1000"))["connections"]
        ]
        found["broker"] = {
            "memory": psutil.Process(self.steady_broker.pid).memory_info().rss / 2**20,
            "connections": len(clients),
            "subscriptions": sum(client["subscriptions"] for client in clients),
        }
        return found

    async def quiet(self) -> dict[str, dict[str, float]]:
        """What is held when nothing happens: the least of some looks, as heartbeats and timers go on."""
        for node in await self.mesh.nodes():
            await self.mesh.options(node=node.name).call("chaos.clear")
        least = await self.held()
        end = time.monotonic() + min(_QUIET_S, max(3.0, SOAK_S / 10))
        while time.monotonic() < end:
            await asyncio.sleep(0.5)
            now = await self.held()
            least = {
                who: {what: min(value, now[who][what]) for what, value in its.items()}
                for who, its in least.items()
            }
        return least


def _is_a_proxys(task: asyncio.Task[object]) -> bool:
    """The proxies are in this process too, with tasks for each connection that nodes have through them."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename.endswith("testing/proxy.py")


@asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    effects = folder / "effects"
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(3))
        one, two, three = cluster.urls
        links = [await stack.enter_async_context(Proxy(url)) for url in (two, three, one)]
        environment = {"CHAOS_EFFECTS": str(effects)}
        nodes = [
            NodeProcess(MODULE, (link.url, one), region="local", folder=ROOT, environment=environment)
            for link in links[:2]
        ]
        for node in nodes:
            await stack.enter_async_context(node)
        ports = {"node": free_port(), "gateway": free_port()}
        words = ["run", MODULE, "--nats", f"{links[2].url},{two},{three}", "--region", "local"]
        steady = RunningNode(
            [sys.executable, "-m", "tests.support.observed", str(ports["node"]), *words], ROOT,
            {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        stack.callback(steady.close)
        observed = {"OBSERVED_PORT": str(ports["gateway"])}
        gateway = await asyncio.to_thread(
            GatewayProcess, f"{two},{three},{one}", environment=observed, module="tests.support.observed"
        )
        stack.callback(gateway.close)
        await asyncio.to_thread(until_offered, gateway.port, "chaos")
        mesh = await stack.enter_async_context(connect((three, one, two), timeout_s=TIMEOUT_S))
        async with asyncio.timeout(30):
            while len(await mesh.nodes()) < 3:
                await asyncio.sleep(0.1)
        yield Place(cluster, nodes, links, mesh, gateway, ports, effects, random.Random(SEED))


async def ask_by_http(port: int, answered: Counter[str], stop: asyncio.Event) -> None:
    """What a client of the gateway does, one call after the other."""
    number = 0
    while not stop.is_set():
        number += 1
        arguments = {"seconds": 0.01, "ident": f"http-{number}"}
        try:
            request = message("tools/call", {"name": "look", "arguments": arguments})
            answer = await asyncio.to_thread(post, port, "/mcp/chaos", request, TIMEOUT_S)
        except OSError as error:
            answered[type(error).__name__] += 1
            continue
        answered["result" if isinstance(answer, dict) and "result" in answer else "error"] += 1


async def phase(made: Place, length_s: float, answered: Counter[str]) -> Damage:
    """Faults under load, for so long; afterwards nothing is on its way."""
    stop = asyncio.Event()
    calls_before = made.mesh.stats.calls
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask_by_http(made.gateway.port, answered, stop)) for _ in range(4)]
        async with Damage(made.mesh, made.effects, seconds=SECONDS) as damage:
            await damage.settle()
            damage.fault()
            await made.suffer(time.monotonic() + length_s)
        stop.set()
        await asyncio.gather(*asking)
    stats = made.mesh.stats
    assert stats.calls - calls_before >= len(damage.done)
    assert stats.calls == stats.answered + stats.failed
    return damage


@pytest.mark.timeout(1800)
@pytest.mark.xdist_group("soak")
async def test_random_faults(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with place(tmp_path) as made:
        answered: Counter[str] = Counter()
        ends_once(await phase(made, SOAK_S * WARM_UP, answered))
        before = await made.quiet()
        damage = await phase(made, SOAK_S * (1 - WARM_UP), answered)
        ends_once(damage)
        row = damage.row("random faults, one after the other")
        row.rounds = sum(made.faults.values())
        report(request, row)
        del damage
        after = await made.quiet()
        sys.stdout.write(f"\n{dict(made.faults)}\nby HTTP: {dict(answered)}\n")
        for who, its in after.items():
            grown = ", ".join(f"{what} {before[who][what]:.0f} -> {value:.0f}" for what, value in its.items())
            sys.stdout.write(f"{who}: {grown}\n")
        assert {
            (who, what): (before[who][what], value)
            for who, its in after.items()
            for what, value in its.items()
            if value > before[who][what] + (GROWTH_MB[who] if what == "memory" else 0)
        } == {}
        assert answered["result"] > 0.9 * answered.total()


def ends_once(damage: Damage) -> None:
    """Each call had one ending; none ran twice that must not, or after it had ended, or though told no."""
    assert damage.doubled() == []
    assert damage.ghosts(TIMEOUT_S) == []
    assert damage.looks.open == damage.changes.open == {}
    failed = Counter(done.error.reason for done in damage.looks.failed if done.error is not None)
    assert failed.total() <= len(damage.looks.done) / 100, failed
