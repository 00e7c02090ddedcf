"""Scenario `gateway`: a tool behind gateway, broker and node, against the same tool served by FastMCP itself.

Both are asked by the same requests of MCP 2026-07-28 over HTTP, in turn. What is compared is a whole system
of three processes with one process: its throughput, and the CPU that all its processes use for a call.
"""

from __future__ import annotations

import json
import socket
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.compare import Comparison, Target
from benchmarks.load import Post, load
from benchmarks.processes import Peer, Watched, broker, peer

CONNECTIONS = 64
TEXT = "the quick brown fox jumps over the lazy dog"
_VERSION = "2026-07-28"


@dataclass(frozen=True)
class Size:
    """How much is measured: rounds, and seconds of load in each."""

    rounds: int = 5
    seconds: float = 4.0


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    post: Post
    processes: tuple[Watched, ...]


def request_of(port: int, path: str, tool: str) -> Post:
    """A call of the tool, as a client of 2026-07-28 makes it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": _VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    }
    params = {"name": tool, "arguments": {"text": TEXT}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": _VERSION,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    return Post(port, path, headers, json.dumps(body, separators=(",", ":")).encode())


def check(post: Post) -> None:
    """See that it is answered as it should be, once, before anything is measured."""
    url = f"http://127.0.0.1:{post.port}{post.path}"
    request = urllib.request.Request(url, post.body, dict(post.headers))
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response)
    text = answer["result"]["content"][0]["text"]
    if text != TEXT:
        raise SystemExit(f"{url} answers {text!r}")


def run(size: Size) -> list[Comparison]:
    """Measure both sides in turn, who begins alternating from round to round."""
    many = f"{CONNECTIONS} connections"
    rate = Comparison(f"tools/call, one server, {many}", "calls/s", Target("at least", 8), versus="FastMCP")
    mesh = Comparison(f"tools/call, whole mesh, {many}", "calls/s", Target("at least", 8), versus="FastMCP")
    cpu = Comparison("CPU of all processes for a call", "µs", Target("at most", 0.5), versus="FastMCP")
    p50 = Comparison("p50 of a call, one connection", "µs", versus="FastMCP")
    with ExitStack() as stack:
        between = stack.enter_context(broker())
        node = stack.enter_context(peer("node", between.url))
        port, other = free_port(), free_port()
        gateway = stack.enter_context(
            Peer(
                "-m", "longreach.cli", "gateway", "--nats", between.url, "--port", str(port), ready="/readyz"
            )
        )
        fastmcp = stack.enter_context(peer("fastmcp", f"http://127.0.0.1:{other}"))
        ours = Side(request_of(port, "/mcp/bench", "echo"), (gateway, between, node))
        whole = Side(request_of(port, "/mcp", "bench__echo"), ours.processes)
        theirs = Side(request_of(other, "/mcp", "echo"), (fastmcp,))
        for side in (ours, whole, theirs):
            check(side.post)
            load(side.post, CONNECTIONS, size.seconds / 4)  # everything has run before it counts
        for number in range(size.rounds):
            order = (ours, whole, theirs) if number % 2 == 0 else (theirs, whole, ours)
            legs = {id(side): leg(side, size) for side in order}
            (our_rate, our_cpu, our_p50), their = legs[id(ours)], legs[id(theirs)]
            rate.add(our_rate, their[0])
            mesh.add(legs[id(whole)][0], their[0])
            cpu.add(our_cpu, their[1])
            p50.add(our_p50, their[2])
    return [rate, mesh, cpu, p50]


def leg(side: Side, size: Size) -> tuple[float, float, float]:
    """Calls a second and µs of CPU for a call, many at a time; the median time of one alone, in µs."""
    before = sum(process.cpu_s for process in side.processes)
    many = load(side.post, CONNECTIONS, size.seconds)
    used = sum(process.cpu_s for process in side.processes) - before
    one = load(side.post, 1, size.seconds / 4)
    return many.requests / many.seconds, used / many.requests * 1e6, one.p50_s * 1e6


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
