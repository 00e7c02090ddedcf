"""Scenario `call`: a caller process, a node process, a tool that echoes; against bare request and reply."""

from __future__ import annotations

import asyncio
import base64
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.compare import Comparison, Target
from benchmarks.processes import Broker, Peer, broker, peer

IN_FLIGHT = 64
TEXT = "the quick brown fox jumps over the lazy dog"
_TAP_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Size:
    """How much is measured: rounds, and calls in each of them."""

    rounds: int = 10
    parallel: int = 6_000
    sequential: int = 1_500


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    caller: Peer
    server: Peer
    broker: Broker


@dataclass(frozen=True)
class Leg:
    """What one side did in one round."""

    calls_per_s: float
    p50_us: float
    caller_cpu_us: float
    server_cpu_us: float
    broker_cpu_us: float


async def capture(url: str, peer_call: Peer) -> tuple[bytes, bytes]:
    """The very bytes of a request of longreach's and of its response, off the broker."""
    import nats
    from nats.aio.msg import Msg

    requests: asyncio.Queue[bytes] = asyncio.Queue()
    responses: asyncio.Queue[bytes] = asyncio.Queue()

    async def heard(message: Msg) -> None:
        where = message.subject.split(".")[4]
        if where == "req":
            requests.put_nowait(message.data)
        elif where == "rep" and b'"result"' in message.data:
            responses.put_nowait(message.data)

    connection = await nats.connect(url)
    await connection.subscribe("lr.v1.>", cb=heard)
    await connection.flush()
    await asyncio.to_thread(peer_call.ask, calls=1, in_flight=1)
    async with asyncio.timeout(_TAP_TIMEOUT_S):
        found = await requests.get(), await responses.get()
    await connection.close()
    return found


def run(size: Size) -> list[Comparison]:
    """Measure both sides in turn, who begins alternating from round to round."""
    comparisons = {
        "calls_per_s": Comparison(f"calls, {IN_FLIGHT} in flight", "calls/s", Target("at least", 0.85)),
        "p50_us": Comparison("p50 of a call, one at a time", "µs", Target("at most", 1.15)),
        "caller_cpu_us": Comparison(f"CPU of the caller for a call, {IN_FLIGHT} in flight", "µs"),
        "server_cpu_us": Comparison(f"CPU of the node for a call, {IN_FLIGHT} in flight", "µs"),
        "broker_cpu_us": Comparison(f"CPU of the broker for a call, {IN_FLIGHT} in flight", "µs"),
    }
    with ExitStack() as stack:
        between = stack.enter_context(broker())
        url = between.url
        node = stack.enter_context(peer("node", url))
        ours = Side(stack.enter_context(peer("caller", url, text=TEXT)), node, between)
        request, response = (base64.b64encode(it).decode() for it in asyncio.run(capture(url, ours.caller)))
        echo = stack.enter_context(peer("echo", url, response=response))
        asker = stack.enter_context(peer("asker", url, request=request, response=response))
        theirs = Side(asker, echo, between)
        for side in (ours, theirs):  # everything has run once before it counts
            leg(side, Size(1, size.parallel // 4, size.sequential // 4))
        for number in range(size.rounds):
            first, second = (ours, theirs) if number % 2 == 0 else (theirs, ours)
            legs = {id(first): leg(first, size), id(second): leg(second, size)}
            for name, comparison in comparisons.items():
                comparison.add(getattr(legs[id(ours)], name), getattr(legs[id(theirs)], name))
    return list(comparisons.values())


def leg(side: Side, size: Size) -> Leg:
    """Measure one side once: many at a time, then one at a time."""
    before_s, broker_before_s = side.server.cpu_s, side.broker.cpu_s
    parallel = side.caller.ask(calls=size.parallel, in_flight=IN_FLIGHT)
    server_s, broker_s = side.server.cpu_s - before_s, side.broker.cpu_s - broker_before_s
    sequential = side.caller.ask(calls=size.sequential, in_flight=1)
    step_s = 1e-3  # less is as good as nothing where the clock has coarse steps, and cannot be divided by
    server_s, broker_s = max(server_s, step_s), max(broker_s, step_s)
    return Leg(
        size.parallel / parallel["seconds"],
        sequential["p50_s"] * 1e6,
        parallel["cpu_s"] / size.parallel * 1e6,
        server_s / size.parallel * 1e6,
        broker_s / size.parallel * 1e6,
    )
