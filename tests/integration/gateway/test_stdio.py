"""`longreach stdio` as hosts start it, in both eras."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from tests.integration.gateway.test_legacy import visit
from tests.interop.guests import OfficialGuest, answer
from tests.interop.visit import EXPECTED
from tests.interop.visit import visit as modern_visit
from tests.support.broker import Broker
from tests.support.gateways import message
from tests.support.malformed import MALFORMED
from tests.support.services import Service, write_state_keys
from tests.support.sessions import session_over

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("LONGREACH_")},
    "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("framework", "services", ".")),
}


@pytest.fixture
def guestbook(broker: Broker, tmp_path: Path) -> Iterator[Broker]:
    keys = write_state_keys(tmp_path / "keys")
    words = (
        "run", "tests.interop.guestbook:app", "--nats", broker.url, "--state-keys", str(keys),
        "--drain-timeout", "1",
    )  # fmt: skip
    with Service.longreach(tmp_path / "node.log", *words):
        yield broker


def parameters(*words: str) -> StdioServerParameters:
    arguments = ["-m", "longreach.cli", "stdio", *words]
    return StdioServerParameters(command=sys.executable, args=arguments, env=ENVIRONMENT, cwd=ROOT)


class Host:
    """A process, and lines to and from it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def send(self, body: Any) -> None:
        assert self.process.stdin is not None
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.process.stdin.write(data + b"\n")

    async def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        decoded: dict[str, Any] = json.loads(line)
        return decoded

    async def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        self.send(body)
        return await self.next()

    async def ended(self, timeout_s: float = 10) -> int:
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()


@asynccontextmanager
async def host(*words: str) -> AsyncIterator[Host]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "longreach.cli", "stdio", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=ENVIRONMENT, cwd=ROOT,
    )  # fmt: skip
    try:
        yield Host(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_tools(running: Host, minimum: int = 1) -> list[str]:
    async with asyncio.timeout(20):
        while True:
            answered = await running.ask(message("tools/list"))
            names = [tool["name"] for tool in answered.get("result", {}).get("tools", ())]
            if len(names) >= minimum:
                return names


async def test_the_official_client_in_its_legacy_mode(guestbook: Broker) -> None:
    words = ("--nats", guestbook.url, "--server", "guestbook")
    async with host(*words) as running:
        await until_tools(running)
    async with session_over(stdio_client(parameters(*words))) as (session, heard):
        assert session.protocol_version == "2025-11-25"
        await visit(session, heard)


async def test_the_official_client_in_the_modern_era(guestbook: Broker) -> None:
    words = ("--nats", guestbook.url, "--server", "guestbook")
    async with host(*words) as running:
        await until_tools(running)
    async with Client(stdio_client(parameters(*words)), elicitation_callback=answer) as client:
        assert await modern_visit(OfficialGuest(client)) == EXPECTED


async def test_the_whole_mesh_is_offered_without_a_server(guestbook: Broker) -> None:
    async with host("--nats", guestbook.url) as running:
        assert "guestbook__count" in await until_tools(running)
    async with host("--nats", guestbook.url, "--search-above", "2") as running:
        assert sorted(await until_tools(running, 2)) == ["call_tool", "search_tools"]


async def test_it_ends_when_its_input_does_and_answers_what_came_before(guestbook: Broker) -> None:
    async with host("--nats", guestbook.url, "--server", "guestbook") as running:
        await until_tools(running)
        running.send(message("tools/call", {"name": "count", "arguments": {"upto": 2}}, "last"))
        assert running.process.stdin is not None
        running.process.stdin.close()
        answered = await running.next()
        assert answered["id"] == "last"
        assert answered["result"]["content"][0]["text"] == "counted to 2"
        assert await running.ended() == 0


async def test_a_pipe_that_says_all_at_once_in_the_legacy_era_is_answered_in_full(guestbook: Broker) -> None:
    async with host("--nats", guestbook.url, "--server", "guestbook") as running:
        await until_tools(running)
    client = {"name": "h", "version": "1"}
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    async with host("--nats", guestbook.url, "--server", "guestbook") as running:
        running.send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
        running.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        call = {"name": "count", "arguments": {"upto": 2}}
        running.send({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call})
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert (await running.next())["result"]["protocolVersion"] == "2025-06-18"
        answered = await running.next()
        while "method" in answered:  # progress and logs come before the answer
            answered = await running.next()
        assert answered["id"] == 2
        assert answered["result"]["content"][0]["text"] == "counted to 2"
        assert await running.ended() == 0


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_pipe_of_malformed_requests_is_answered_line_for_line(guestbook: Broker, era: str) -> None:
    words = ("--nats", guestbook.url, "--server", "guestbook")
    async with host(*words) as running:
        await until_tools(running)
    call = {"name": "count", "arguments": {"upto": 2}}
    client = {"name": "h", "version": "1"}
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    first, last = message("server/discover", {}, "first"), message("tools/call", call, "last")
    if era == "legacy":
        first = {"jsonrpc": "2.0", "id": "first", "method": "initialize", "params": params}
        last = {"jsonrpc": "2.0", "id": "last", "method": "tools/call", "params": call}
    async with host(*words) as running:
        for line in (first, *(line for line, _ in MALFORMED), last):
            running.send(line)
        assert running.process.stdin is not None
        running.process.stdin.close()
        answers: list[dict[str, Any]] = []
        while len(answers) < len(MALFORMED) + 2:
            said = await running.next()
            if "method" not in said:  # notifications come in between
                answers.append(said)
        assert await running.ended() == 0
    by_id = {each["id"]: each for each in answers if each["id"] in ("first", "last")}
    assert "result" in by_id["first"]
    assert by_id["last"]["result"]["content"][0]["text"] == "counted to 2"
    assert sum("error" in each for each in answers) == len(MALFORMED)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it(broker: Broker, number: signal.Signals) -> None:
    async with host("--nats", broker.url) as running:
        assert "result" in await running.ask(message("server/discover"))
        running.process.send_signal(number)
        assert await running.ended() == 0


async def test_the_broker_may_come_later_and_go_and_come_back(tmp_path: Path) -> None:
    broker = Broker()
    broker.kill()
    async with host("--nats", broker.url, "--server", "guestbook") as running:
        assert "result" in await running.ask(message("server/discover"))
        error = (await running.ask(message("tools/list")))["error"]
        assert error["code"] == -31910
        assert "no broker" in error["message"]
        broker.start()
        keys = write_state_keys(tmp_path / "keys")
        words = ("run", "tests.interop.guestbook:app", "--nats", broker.url, "--state-keys", str(keys))
        with Service.longreach(tmp_path / "node.log", *words):
            await until_tools(running)
            call = message("tools/call", {"name": "count", "arguments": {"upto": 1}})
            call["params"]["_meta"].pop("progressToken", None)
            assert "result" in await running.ask(call)
            broker.kill()
            async with asyncio.timeout(20):
                while "error" not in (answered := await running.ask(call)):
                    await asyncio.sleep(0.05)
            assert answered["error"]["code"] in (-31910, -31911)
            broker.start()
            async with asyncio.timeout(20):
                while "result" not in await running.ask(call):
                    await asyncio.sleep(0.05)
            assert running.process.returncode is None
    broker.close()


async def test_a_legacy_client_may_begin_before_the_broker() -> None:
    broker = Broker()
    broker.kill()
    async with host("--nats", broker.url) as running:
        params = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "h", "version": "1"},
        }
        began = await running.ask({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
        assert began["result"]["protocolVersion"] == "2025-06-18"
        assert "tools" in began["result"]["capabilities"]
    broker.close()


async def test_a_message_that_is_too_long_is_skipped(broker: Broker) -> None:
    async with host("--nats", broker.url, "--max-line", "2000") as running:
        running.send(b"x" * 100_000)
        assert (await running.next())["error"]["code"] == -32600
        assert "result" in await running.ask(message("server/discover"))
