"""Scale, the part `catalog`: what a client pays to learn instances, and for their heartbeats.

One client on a link in memory, with everything that listens to a catalog: liveness, plans, `watch`, `listen`,
and a front with one subscriber. Announcements are given to its subscription as a connection would. All
figures are CPU time of this process, definitions included: those are fetched from a node in memory.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

import msgspec

from benchmarks.compare import Comparison, Target
from longreach import Mesh, connect
from longreach.clock import SYSTEM_CLOCK
from longreach.front.front import Front
from longreach.transport.memory import MemoryBroker
from longreach.wire import frames
from longreach.wire.incoming import decode_incoming
from longreach.wire.manifest import Bundle, Definition, Offer, build_bundle

Shape = Literal["one server", "many servers"]
Sink = Callable[[str, str, bytes, None], None]
SHAPES: tuple[Shape, ...] = ("one server", "many servers")
"""All instances are of one server, or ten of each."""
REPLICAS = 10
TOOLS = 3
_LINEAR = Target("at most", 2.0)
_GOAL = Target("at most", 1.0)
_LEARN_GOAL_S = {500: 0.125, 2_000: 0.5, 8_000: 2.0}
_HEARTBEAT_GOAL_US = 30.0
_LATE_MS = 150
_BEATS_A_TURN = 50
_PATIENCE_S = 600.0


class Said(NamedTuple):
    """An announcement, as it arrives."""

    subject: str
    value: frames.Announcement

    def data(self, seq: int, late_ms: int = 0) -> bytes:
        """Its bytes; `late_ms` ago is when it was sent."""
        clock_ms = SYSTEM_CLOCK.wall_ms() - late_ms
        return msgspec.json.encode(msgspec.structs.replace(self.value, seq=seq, clock_ms=clock_ms))


class Estate(NamedTuple):
    """What so many instances announce, and the bundles that stand behind it."""

    said: list[Said]
    blobs: dict[str, bytes]


class Client(NamedTuple):
    """A client, and what gives it announcements."""

    mesh: Mesh
    sink: Sink


class Cost(NamedTuple):
    """What one size costs: seconds of CPU, microseconds for a heartbeat, bytes for an instance."""

    at_once_s: float
    one_a_turn_s: float
    heartbeat_us: float
    bytes_each: float


def run(sizes: Sequence[int], rounds: int) -> list[Comparison]:
    """Measure both shapes at all sizes."""
    found: dict[str, Comparison] = {}
    for _ in range(rounds):
        for shape in SHAPES:
            costs = {size: asyncio.run(_measure(shape, size)) for size in sizes}
            for comparison in _compare(shape, costs):
                known = found.setdefault(comparison.name, comparison)
                if known is not comparison:
                    known.add(comparison.ours[0], comparison.theirs[0])
    return list(found.values())


def _compare(shape: Shape, costs: dict[int, Cost]) -> list[Comparison]:
    """The costs of one instance against those at the smallest size, and the totals against their goals."""
    least = min(costs)
    found = []
    for size, cost in costs.items():
        base = costs[least]
        if size != least:
            for what, unit, ours, theirs in (
                ("learn at once", "µs each", cost.at_once_s / size * 1e6, base.at_once_s / least * 1e6),
                (
                    "learn one a turn",
                    "µs each",
                    cost.one_a_turn_s / size * 1e6,
                    base.one_a_turn_s / least * 1e6,
                ),
                ("memory", "bytes each", cost.bytes_each, base.bytes_each),
                ("heartbeat", "µs each", cost.heartbeat_us, base.heartbeat_us),
            ):
                name = f"catalog, {shape}: {what}, {size} instances"
                found.append(_one(name, unit, _LINEAR, ours, theirs, f"{least} instances"))
        goal_s = _LEARN_GOAL_S.get(size, size / 4000)
        for what, unit, ours, goal in (
            ("learn at once", "s", cost.at_once_s, goal_s),
            ("learn one a turn", "s", cost.one_a_turn_s, goal_s),
            ("heartbeat", "µs", cost.heartbeat_us, _HEARTBEAT_GOAL_US),
        ):
            found.append(_one(f"catalog, {shape}: {what}, {size} in all", unit, _GOAL, ours, goal, "goal"))
    return found


def _one(name: str, unit: str, target: Target, ours: float, theirs: float, versus: str) -> Comparison:
    comparison = Comparison(name, unit, target, versus=versus)
    comparison.add(ours, theirs)
    return comparison


async def _measure(shape: Shape, size: int) -> Cost:
    estate = build(shape, size)
    async with client(estate) as known:
        at_once_s = await learn(known, estate, turns=False)
        heartbeat_us = await beat(known, estate)
    async with client(estate) as known:
        one_a_turn_s = await learn(known, estate, turns=True)
    gc.collect()
    async with client(estate) as known:
        tracemalloc.start()
        try:
            await learn(known, estate, turns=False)
            gc.collect()
            bytes_each = tracemalloc.get_traced_memory()[0] / size
        finally:
            tracemalloc.stop()
    return Cost(at_once_s, one_a_turn_s, heartbeat_us, bytes_each)


def build(shape: Shape, size: int) -> Estate:
    """`size` instances."""
    servers = 1 if shape == "one server" else max(1, size // REPLICAS)
    bundles = [_bundle(f"server{number}") for number in range(servers)]
    blobs: dict[str, bytes] = {}
    for bundle in bundles:
        blobs |= {bundle.digest: bundle.manifest, **bundle.blobs}
    said = []
    for number in range(size):
        server = number % servers
        value = frames.Announcement(
            server=f"server{server}",
            version="1.0.0",
            digest=bundles[server].digest,
            region="eu",
            identity=f"identity{number // 1000}",
            instance=f"i{number}",
            state="up",
            seq=1,
            clock_ms=0,
            labels={"pool": "a"},
        )
        said.append(Said(f"lr.v1.default.eu.adv.server{server}.{value.identity}.{value.instance}", value))
    return Estate(said, blobs)


def _bundle(server: str) -> Bundle:
    tools = [
        Definition(
            f"tool{n}", json.dumps({"name": f"tool{n}", "description": server, "inputSchema": {}}).encode()
        )
        for n in range(TOOLS)
    ]
    return build_bundle(server, "1.0.0", title=None, instructions=None, offer=Offer(tools=tools, ttl_ms=5000))


@asynccontextmanager
async def client(estate: Estate) -> AsyncIterator[Client]:
    """A client with everything that listens to its catalog; it knows nothing yet."""
    broker = MemoryBroker()
    _answer_blobs(broker, estate.blobs)
    link = broker.link()
    sinks: list[Any] = []
    subscribe = link.subscribe

    def capture(subject: str, sink: Any, queue: str = "") -> Any:
        if ".adv." in subject:
            sinks.append(sink)
        return subscribe(subject, sink, queue)

    link.subscribe = capture  # type: ignore[method-assign]
    async with connect(link=link) as mesh, asyncio.TaskGroup() as tasks:
        await mesh.learn()  # whatever is announced from now on is fetched
        listening = mesh.listen()
        hub = Front(mesh)
        waiting = [
            tasks.create_task(_drain(mesh.watch())),
            tasks.create_task(_drain(listening)),
            tasks.create_task(_drain(hub.listen(decode_incoming(_LISTEN)))),
        ]
        await asyncio.sleep(0.05)
        yield Client(mesh, sinks[0])
        for task in waiting:
            task.cancel()


_LISTEN = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "subscriptions/listen",
        "params": {
            "notifications": {"toolsListChanged": True},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
).encode()


async def _drain(changes: Any) -> None:
    async for _ in changes:
        pass


def _answer_blobs(broker: MemoryBroker, blobs: dict[str, bytes]) -> None:
    """One link that has the definitions of every node."""
    link = broker.link()

    def answer(_: str, reply: str, data: bytes, __: Any) -> None:
        asked = frames.decode(data, frames.BlobsRequest).digests
        parts = reply.split(".")
        parts[3] = "eu"
        link.send(".".join(parts), frames.pack_blobs(blobs, asked, 256 * 1024)[0])

    link.subscribe("lr.v1.default.eu.node.*.*.*.*.blobs", answer)


async def learn(known: Client, estate: Estate, *, turns: bool) -> float:
    """Hear every announcement, and fetch what stands behind it: seconds of CPU."""
    heard = [(said.subject, said.data(1)) for said in estate.said]
    began = time.process_time()
    for subject, data in heard:
        known.sink(subject, "", data, None)
        if turns:
            await asyncio.sleep(0)
    wanted = {said.value.digest for said in estate.said}
    catalog = known.mesh.catalog
    async with asyncio.timeout(_PATIENCE_S):
        while len(catalog.instances) < len(heard) or len(catalog.names) < len(wanted):
            await asyncio.sleep(0.01)
            catalog = known.mesh.catalog
    await asyncio.sleep(0)
    return time.process_time() - began


async def beat(known: Client, estate: Estate) -> float:
    """Hear heartbeats that are late, as on a link that lags: microseconds of CPU for each."""
    some = estate.said[:2000]
    heard = [(said.subject, said.data(seq, _LATE_MS * seq)) for seq in (2, 3) for said in some]
    began = time.process_time()
    for number, (subject, data) in enumerate(heard):
        known.sink(subject, "", data, None)
        if number % _BEATS_A_TURN == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    return (time.process_time() - began) / len(heard) * 1e6
