"""The official clients, unchanged, each through the doors that are for it: same visit, same findings."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastmcp
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from tests.conformance.toolbox import NotInstalled, install
from tests.interop.guests import FastGuest, OfficialGuest, answer, fast_answer
from tests.interop.visit import EXPECTED, TIMEOUT_S, visit
from tests.support.broker import Broker, free_port
from tests.support.http import until_offered
from tests.support.outside import leave_out, program
from tests.support.services import Service, write_state_keys

from longreach.sdk import transport

VISIT = Path(__file__).with_name("visit.mjs")


@dataclass(frozen=True)
class Doors:
    """Where the guestbook can be reached."""

    broker: str
    http: str


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("guestbook")
    port = free_port()
    with ExitStack() as stack:
        broker = stack.enter_context(Broker())
        app = "tests.interop.guestbook:app"
        words = ["run", app, "--nats", broker.url, "--state-keys", str(write_state_keys(folder / "keys"))]
        stack.enter_context(Service.longreach(folder / "node.log", *words))
        gateway = Service.longreach(
            folder / "gateway.log", "gateway", "--nats", broker.url, "--port", str(port)
        )
        stack.enter_context(gateway).listens(port)
        until_offered(port, "guestbook")
        yield Doors(broker.url, f"http://localhost:{port}/mcp/guestbook")


async def official(transport: Any) -> dict[str, Any]:
    async with Client(transport, elicitation_callback=answer) as client:
        return await visit(OfficialGuest(client))


async def test_the_official_python_client_over_the_gateway(doors: Doors) -> None:
    assert await official(doors.http) == EXPECTED


async def test_the_official_python_client_over_stdio(doors: Doors) -> None:
    words = ["-m", "longreach.cli", "stdio", "--server", "guestbook", "--nats", doors.broker]
    host = StdioServerParameters(command=sys.executable, args=words, env=dict(os.environ))
    assert await official(stdio_client(host)) == EXPECTED


async def test_the_official_python_client_over_nats(doors: Doors) -> None:
    assert await official(transport(doors.broker, server="guestbook")) == EXPECTED


async def test_fastmcps_client_over_the_gateway(doors: Doors) -> None:
    async with fastmcp.Client(doors.http, elicitation_handler=fast_answer) as client:
        assert await visit(FastGuest(client)) == EXPECTED


async def test_the_official_typescript_client_over_the_gateway(doors: Doors) -> None:
    program("npm")  # which brings the TypeScript client
    try:
        toolbox = await asyncio.to_thread(install)
    except NotInstalled as error:
        leave_out(str(error))
    process = await asyncio.create_subprocess_exec(
        str(toolbox.node), str(VISIT), str(toolbox.modules), doors.http,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(TIMEOUT_S + 15):
            out, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    assert json.loads(out) == EXPECTED
