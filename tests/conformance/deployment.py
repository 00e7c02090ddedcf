"""The mesh under test: a broker, two node processes with all fixture servers, two gateways, a balancer."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from tests.conformance.balancer import Balancer
from tests.support.broker import Broker, free_port
from tests.support.http import until_offered
from tests.support.services import Service, write_state_keys

SERVERS = ("native", "official", "fast")
FIXTURES = "tests.conformance.fixtures"
NODES = ("node-a", "node-b")


class Deployment:
    """All of it, while it is entered.

    Args:
        folder: for logs.
        servers: the fixture modules that the nodes host.
        wire: a file for what goes between suite and gateways; None: not kept.

    Attributes:
        balancer: counts requests by gateway and answers by node.
        gateways: their ports.
    """

    def __init__(self, folder: Path, servers: tuple[str, ...] = SERVERS, wire: Path | None = None) -> None:
        self._folder = folder
        self._servers = servers
        self._stack = AsyncExitStack()
        self.gateways = [free_port(), free_port()]
        self.balancer = Balancer(self.gateways, wire)
        self.port = 0

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
        broker = self._stack.enter_context(Broker())
        keys = write_state_keys(self._folder / "state.keys")
        hosted = [f"{FIXTURES}.{server}:app" for server in self._servers]
        for identity in NODES:
            self._run(
                identity, "run", *hosted, "--nats", broker.url, "--identity", identity,
                "--state-keys", str(keys),
            )  # fmt: skip
        for port in self.gateways:
            gateway = self._run(f"gateway-{port}", "gateway", "--nats", broker.url, "--port", str(port))
            gateway.listens(port)
            for server in self._servers:
                until_offered(port, server)
        self.port = await self.balancer.start()
        self._stack.push_async_callback(self.balancer.close)

    def _run(self, name: str, *words: str) -> Service:
        return self._stack.enter_context(Service.longreach(self._folder / f"{name}.log", *words))
