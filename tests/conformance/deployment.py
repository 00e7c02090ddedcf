"""The mesh under test: a broker, two node processes with all fixture servers, two gateways, a balancer."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from tests.conformance.balancer import Balancer
from tests.conformance.toolbox import ROOT
from tests.support.broker import Broker, free_port

SERVERS = ("native", "official", "fast")
FIXTURES = "tests.conformance.fixtures"
NODES = ("node-a", "node-b")
READY_TIMEOUT_S = 60.0
END_TIMEOUT_S = 15.0
LIST_ALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "server/discover",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}


class Process:
    """A command that serves until it is told to end; what it says goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, log: Path, *words: str, **environment: str) -> Process:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LONGREACH_")}
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *words, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, env={**kept, "PYTHONPATH": str(ROOT), **environment},
            )  # fmt: skip
        return cls(process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    async def listens(self, port: int) -> None:
        """Wait until something answers on a port."""
        async with asyncio.timeout(READY_TIMEOUT_S):
            while True:
                assert self._process.returncode is None, f"it ended before it listened:\n{self.said}"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return

    async def close(self) -> None:
        if self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class Deployment:
    """All of it, while it is entered.

    Args:
        folder: for logs.
        servers: the fixture modules that the nodes host.
        wire: a file for what goes between suite and gateways; None: not kept.

    Attributes:
        balancer: counts requests by gateway and answers by node.
        gateways: their ports.
        broker: of the mesh, with monitoring on `monitor_port`.
        nodes: their processes, by identity.
        doors: the gateways' processes, by port.
    """

    def __init__(self, folder: Path, servers: tuple[str, ...] = SERVERS, wire: Path | None = None) -> None:
        self._folder = folder
        self._servers = servers
        self._wire = wire
        self._stack = AsyncExitStack()
        self.gateways = [free_port(), free_port()]
        self.monitor_port = free_port()
        self.balancer = Balancer(self.gateways, wire)
        self.port = 0
        self.nodes: dict[str, Process] = {}
        self.doors: dict[int, Process] = {}

    async def __aenter__(self) -> Deployment:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def url(self, server: str) -> str:
        """Where a client finds one server, through the balancer."""
        return f"http://localhost:{self.port}/mcp/{server}"

    async def _start(self) -> None:
        self.broker = self._stack.enter_context(Broker(f'http: "127.0.0.1:{self.monitor_port}"'))
        keys = self._folder / "state.keys"
        keys.write_text(secrets.token_hex(32) + "\n")
        keys.chmod(0o600)
        for identity in NODES:
            hosted = [f"{FIXTURES}.{server}:app" for server in self._servers]
            self.nodes[identity] = await self._run(
                identity, "run", *hosted, "--nats", self.broker.url, "--identity", identity,
                LONGREACH_STATE_KEYS=keys.read_text().strip(),
            )  # fmt: skip
        for port in self.gateways:
            gateway = ["gateway", "--nats", self.broker.url, "--port", str(port)]
            self.doors[port] = await self._run(f"gateway-{port}", *gateway)
        self.port = await self.balancer.start()
        self._stack.push_async_callback(self.balancer.close)
        for port, door in self.doors.items():
            await door.listens(port)
            for server in self._servers:
                await self._offers(port, server)

    async def _run(self, name: str, *words: str, **environment: str) -> Process:
        log = self._folder / f"{name}.log"
        process = await Process.start(log, "-m", "longreach.cli", *words, **environment)
        self._stack.push_async_callback(process.close)
        return process

    async def _offers(self, port: int, server: str) -> None:
        """Wait until a gateway has found a server, on both nodes or on the first."""
        answer: Any = None
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not (isinstance(answer, dict) and "result" in answer):
                    if answer is not None:
                        await asyncio.sleep(0.1)
                    answer = await post(port, f"/mcp/{server}", LIST_ALL)
        except TimeoutError:
            said = "\n".join(process.said for process in (*self.nodes.values(), *self.doors.values()))
            raise AssertionError(f"gateway {port} does not offer {server!r}: {answer}\n{said}") from None


async def post(port: int, path: str, message: dict[str, Any]) -> Any:
    """One modern request, without any client library; what came back, decoded if it is JSON."""
    body = msgspec.json.encode(message)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        f"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {message['method']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + body)
        answer = await reader.read()
    finally:
        writer.close()
    _, _, content = answer.partition(b"\r\n\r\n")
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return answer.decode(errors="replace")
