"""Requests that are wrong in thousands of ways: none finds a defect, none leaves anything behind.

LONGREACH_FUZZ says how many (`make fuzz`: 100,000).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.integration.gateway.conftest import ask
from tests.support.attackers import storm
from tests.support.broker import Broker
from tests.support.commands import Desk
from tests.support.gateways import GatewayProcess
from tests.support.jwts import ISSUER, Signer, jwks
from tests.support.mutations import TOKEN

COUNT = int(os.environ.get("LONGREACH_FUZZ", "3000"))
FIRST_SEED = int(os.environ.get("LONGREACH_FUZZ_SEED", "0"))
SERVING = 6
"""Tasks that begin with the first session, and stay."""
APP = """
from typing import Annotated
import msgspec
from longreach import Context, Server

docs = Server("docs")

@docs.tool(read_only=True)
async def echo(text: str) -> str:
    return text

@docs.tool
async def count(to: int, ctx: Context) -> str:
    for number in range(to):
        await ctx.progress(number, to)
    return "counted"

@docs.tool
async def fail(text: str) -> str:
    raise ValueError(text)

@docs.tool
async def mirrored(
    region: Annotated[str, msgspec.Meta(extra_json_schema={"x-mcp-header": "Region"})], text: str = ""
) -> str:
    return region
"""


@dataclass
class State:
    tasks: int
    objects: int
    fds: int
    rss_mib: float


class Watched:
    """A gateway whose inside can be seen."""

    def __init__(self, gateway: GatewayProcess, *, asks_for_tokens: bool) -> None:
        self.gateway = gateway
        self.asks_for_tokens = asks_for_tokens
        self._asked = 0

    async def state(self) -> State:
        self._asked += 1
        self.gateway.running.signal(signal.SIGUSR1)
        said = await asyncio.to_thread(self.gateway.running.until, "watched: ", times=self._asked)
        tasks, objects = re.findall(r"watched: tasks=(\d+) objects=(\d+)", said)[-1]
        process = psutil.Process(self.gateway.pid)
        return State(int(tasks), int(objects), process.num_fds(), process.memory_info().rss / 2**20)

    async def settled(self, like: State, more_tasks: int = 0) -> State:
        """Its state, once connections, streams and sessions that were left are gone, in 20 s at most."""
        state = await self.state()
        for _ in range(40):
            if state.tasks <= like.tasks + more_tasks and state.fds <= like.fds:
                break
            await asyncio.sleep(0.5)
            state = await self.state()
        return state


@pytest.fixture(params=["open", "tokens"])
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    desk = Desk(tmp_path)
    with Broker() as broker:
        desk.write("app.py", APP)
        desk.node("app.py:docs", "--nats", broker.url).until("serves")
        flags = ("--max-body", "100KiB", "--body-timeout", "2", "--session-idle", "3")
        if request.param == "tokens":
            desk.write("tokens", f"mallory:{TOKEN}\n")
            desk.write("jwks", jwks(Signer("k1")).decode())
            flags += ("--bearer-tokens", str(tmp_path / "tokens"), "--jwks-file", str(tmp_path / "jwks"))
            flags += ("--issuer", ISSUER, "--required-scope", "mcp")
        with GatewayProcess(broker.url, *flags, module="tests.support.watched_gateway") as gateway:
            try:
                yield Watched(gateway, asks_for_tokens=request.param == "tokens")
            finally:
                desk.close()


@pytest.mark.slow
@pytest.mark.timeout(max(300, COUNT // 20))
async def test_no_request_is_a_defect_and_none_leaves_anything_behind(watched: Watched):
    port, warm = watched.gateway.port, COUNT // 4
    fresh = await watched.state()
    first = await storm(port, range(FIRST_SEED, FIRST_SEED + warm))
    before = await watched.settled(fresh, SERVING)

    second = await storm(port, range(FIRST_SEED + warm, FIRST_SEED + COUNT))
    after = await watched.settled(before)

    answered = first.statuses + second.statuses
    sessions = first.sessions + second.sessions
    print(f"{COUNT} requests: {dict(sorted(answered.items()))}; sessions: {dict(sessions)}")
    print(f"{fresh}, {before} then {after}")
    assert first.broken + second.broken == []
    assert {200, 202, 400, 403, 404, 405, 406, 413, 415, 421} <= answered.keys()
    assert (401 in answered) == watched.asks_for_tokens
    assert after.tasks <= before.tasks <= fresh.tasks + SERVING
    assert max(before.fds, after.fds) <= fresh.fds
    assert after.objects <= before.objects + max(3000, before.objects // 50)
    assert after.rss_mib <= before.rss_mib + 16
    assert watched.gateway.running.process.poll() is None
    assert "request.failed" not in watched.gateway.running.said
    assert "Traceback" not in watched.gateway.running.said
    async with httpx2.AsyncClient(timeout=10) as http:
        params = {"name": "docs__echo", "arguments": {"text": "x"}}
        reply = await ask(http, watched.gateway.mcp, "tools/call", params, authorization=f"Bearer {TOKEN}")
    assert reply.status_code == 200
