"""The processes that are measured: `python -m benchmarks.peers ROLE URL`. Each runs on uvloop.

A peer says `{"ready": true}` once it can be measured. A calling peer then reads rounds from its standard
input, one JSON object a line, and answers each with what it measured; every peer ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

Call = Callable[[], Awaitable[object]]

SUBJECT = "bench.echo"
TIMEOUT_S = 30.0


async def node(options: argparse.Namespace) -> None:
    """Serve `echo` with longreach."""
    from longreach import NatsOptions, Node, NodeSettings, Server

    server = Server("bench")

    @server.tool(read_only=True)
    async def echo(text: str) -> str:
        return text

    settings = NodeSettings(connection=NatsOptions(urls=(options.url,)))
    async with Node(server, settings=settings):
        ready()
        await end_of_input()


async def caller(options: argparse.Namespace) -> None:
    """Call `echo` with longreach."""
    from longreach import connect

    async with connect(options.url) as mesh:
        arguments = {"text": options.text}
        result = await mesh.call("bench.echo", arguments)
        assert result.text == options.text, result

        async def call() -> None:
            await mesh.call("bench.echo", arguments)

        await rounds(call)


async def echo(options: argparse.Namespace) -> None:
    """Answer each request with bare nats-py, and the bytes that longreach's node answers."""
    import nats
    from nats.aio.msg import Msg

    response = base64.b64decode(options.response)
    connection = await nats.connect(options.url)

    async def answer(message: Msg) -> None:
        await connection.publish(message.reply, response)

    await connection.subscribe(SUBJECT, queue="bench", cb=answer)
    await connection.flush()
    ready()
    await end_of_input()
    await connection.close()


async def asker(options: argparse.Namespace) -> None:
    """Make requests with bare nats-py, of the bytes that longreach's client sends."""
    import nats

    request, response = base64.b64decode(options.request), base64.b64decode(options.response)
    connection = await nats.connect(options.url)
    answer = await connection.request(SUBJECT, request, timeout=TIMEOUT_S)
    assert answer.data == response, answer

    async def call() -> None:
        await connection.request(SUBJECT, request, timeout=TIMEOUT_S)

    await rounds(call)
    await connection.close()


async def idle(options: argparse.Namespace) -> None:
    """Be connected with bare nats-py, and subscribed, and do nothing."""
    import nats

    connection = await nats.connect(options.url)
    await connection.subscribe("idle", queue="idle", cb=nothing)
    await connection.flush()
    ready()
    await end_of_input()
    await connection.close()


async def fastmcp(options: argparse.Namespace) -> None:
    """Serve `echo` with FastMCP over HTTP, as fast as it can: stateless, JSON, httptools, no access log."""
    import uvicorn
    from fastmcp import FastMCP

    server = FastMCP("bench")

    @server.tool(annotations={"readOnlyHint": True}, output_schema=None)  # as the other side has it
    async def echo(text: str) -> str:
        return text

    app = server.http_app(stateless_http=True, json_response=True)
    config = uvicorn.Config(
        app, port=int(options.url.rpartition(":")[2]), http="httptools", ws="none", lifespan="on",
        log_level="error", access_log=False, server_header=False,
    )  # fmt: skip

    class Serving(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ready()

    serving = Serving(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(serving.serve())
        await end_of_input()
        serving.should_exit = True


async def http_load(options: argparse.Namespace) -> None:
    """Make HTTP requests, as often as the harness asks for it."""
    from benchmarks.load import generate

    port = int(options.url.rpartition(":")[2])
    ready()
    while line := await asyncio.to_thread(sys.stdin.readline):
        wanted = json.loads(line)
        print(json.dumps(await generate(port, options.request.encode(), **wanted)), flush=True)


async def nothing(message: object) -> None:
    """What the idle peer does with a message."""


def ready() -> None:
    """Tell the harness that the measuring can begin."""
    print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)


async def end_of_input() -> None:
    """Wait until the harness has closed our input."""
    await asyncio.to_thread(sys.stdin.read)


async def rounds(call: Call) -> None:
    """Measure `call`, as often as the harness asks for it."""
    ready()
    while line := await asyncio.to_thread(sys.stdin.readline):
        wanted = json.loads(line)
        print(json.dumps(await measure(call, wanted["calls"], wanted["in_flight"])), flush=True)


async def measure(call: Call, calls: int, in_flight: int) -> dict[str, float]:
    """Make `calls` calls, `in_flight` at a time; seconds, CPU seconds and the median time of a call."""
    left = iter(range(calls))
    times: list[float] = []

    async def work() -> None:
        for _ in left:
            began = time.perf_counter()
            await call()
            times.append(time.perf_counter() - began)

    cpu_before, before = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    seconds = time.perf_counter() - before
    return {"seconds": seconds, "cpu_s": time.process_time() - cpu_before, "p50_s": statistics.median(times)}


ROLES = {
    "node": node, "caller": caller, "echo": echo, "asker": asker, "idle": idle, "fastmcp": fastmcp,
    "http_load": http_load,
}  # fmt: skip


def main() -> None:
    """Be the peer that the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("url")
    parser.add_argument("--text", default="")
    parser.add_argument("--request", default="")
    parser.add_argument("--response", default="")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ROLES[options.role](options))


if __name__ == "__main__":
    main()
