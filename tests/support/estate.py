"""A generated topology with two tenants, two regions and somebody hostile in each; guarded, or wide open.

In an open one everybody may everything: all are one account, known to every broker, without permissions, and
plain text will do. What is denied in the guarded one and works in the open one is denied by the guard.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from tests.support.topologies import Deployment

from longreach import Context, Elicit, InputRequired, Node, Server
from longreach.cli.topology import accounts, contexts, members
from longreach.clock import SYSTEM_CLOCK

DESCRIPTION = """
credentials = "nkeys"
[tls]
mode = "{tls}"
[regions.eu]
[regions.us]
[brokers.eu-1]
at = "eu"
host = "127.0.0.1"
listen = "127.0.0.1"
[brokers.us-1]
at = "us"
host = "127.0.0.1"
listen = "127.0.0.1"
[namespaces.acme]
[namespaces.rival]
[servers.docs]
namespace = "acme"
nodes = ["n-eu", "n-us"]
[servers.other]
namespace = "acme"
nodes = ["m-eu"]
[servers.theirs]
namespace = "rival"
nodes = ["r-eu"]
[nodes.n-eu]
namespace = "acme"
at = "eu"
[nodes.n-us]
namespace = "acme"
at = "us"
[nodes.m-eu]
namespace = "acme"
at = "eu"
[nodes.r-eu]
namespace = "rival"
at = "eu"
[callers.alice]
namespace = "acme"
at = "eu"
regions = ["eu", "us"]
may = ["docs"]
[callers.bob]
namespace = "acme"
at = "eu"
may = ["docs.echo"]
[callers.mallory]
namespace = "acme"
at = "eu"
may = ["docs"]
[callers.rita]
namespace = "rival"
at = "eu"
may = ["theirs"]
[gateways.web]
namespace = "acme"
at = "eu"
may = ["docs"]
settings = {{ port = 0 }}
"""
EU = "lr.v1.acme.eu"
US = "lr.v1.acme.us"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}


def call(name: str, arguments: dict[str, Any] | None = None, **params: Any) -> bytes:
    """The body of a tools/call."""
    params = {"name": name, "arguments": arguments or {}, "_meta": META, **params}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()


def deploy(folder: Path, *, is_open: bool) -> Deployment:
    """The brokers."""
    if not is_open:
        return Deployment(DESCRIPTION.format(tls="test"), folder)
    by_nkey = accounts._by_nkey

    def one_account(here: Any, vault: Any) -> Any:
        return by_nkey({"acme": [member for tenants in here.values() for member in tenants]}, vault)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "permissions", lambda _: {})
        patch.setattr(accounts, "_by_nkey", one_account)
        patch.setattr(members, "accepted_at", lambda *_: ("eu", "us"))
        return Deployment(DESCRIPTION.format(tls="off"), folder)


class Heard(list[Any]):
    """What came on a subscription."""

    async def take(self, message: Any) -> None:
        self.append(message)

    async def first(self, timeout_s: float = 5.0) -> Any:
        await eventually(lambda: bool(self), timeout_s)
        return self[0]


class Estate:
    """A deployment with nodes, and bare connections with the credentials of anybody.

    Attributes:
        ran: (tool, region, via, caller, text) of each run that began.
        cancelled: the texts of runs that were cancelled.
    """

    def __init__(self, deployed: Deployment, stack: AsyncExitStack) -> None:
        self.deployed = deployed
        self.ran: list[tuple[str, str, str | None, str | None, str]] = []
        self.cancelled: list[str] = []
        self.nodes: dict[str, Node] = {}
        self._stack = stack
        self._numbers = 0

    @property
    def is_open(self) -> bool:
        return self.deployed.description.tls.mode == "off"

    def docs(self) -> Server:
        server = Server("docs", version="1.0.0")

        def note(tool: str, ctx: Context, text: str = "") -> None:
            self.ran.append((tool, ctx.region, ctx.via, ctx.caller, text))

        @server.tool(read_only=True)
        async def echo(text: str, ctx: Context = Context.injected) -> str:
            note("echo", ctx, text[:50])
            return text

        @server.tool
        async def slow(text: str, ctx: Context = Context.injected) -> str:
            note("slow", ctx, text)
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                self.cancelled.append(text)
                raise
            return text

        @server.tool
        async def large(ctx: Context = Context.injected) -> str:
            note("large", ctx)
            return "secret " * 500_000

        @server.tool
        async def pay(ctx: Context = Context.injected) -> str | InputRequired:
            if ctx.request_state is None:
                return InputRequired({"yes": Elicit("Sure?", bool)}, state="price:10")
            return f"paid {ctx.request_state}"

        return server

    async def start(self, key: str) -> Node:
        """A node of `docs`."""
        node = self.deployed.node(key, self.docs(), drain_timeout_s=0.2)
        self.nodes[key] = await self._stack.enter_async_context(node)
        return node

    async def mesh(self, key: str, **options: Any) -> Any:
        return await self._stack.enter_async_context(self.deployed.mesh(key, **options))

    async def raw(self, key: str, broker: str = "eu-1", context: ssl.SSLContext | None = None) -> nats.NATS:
        """A bare connection with the credentials of `key`."""

        async def ignore(_: Exception) -> None:
            """What the broker denies is seen by what does not happen."""

        kind = next(kind for kind, name in self.deployed.description.users() if name == key)
        folder = self.deployed.folder / kind / key
        if context is None and not self.is_open:
            context = ssl.create_default_context(cafile=folder / contexts.CA)
        nc = await nats.connect(
            self.deployed.url(broker),
            nkeys_seed=str(folder / contexts.SEED),
            error_cb=ignore,
            allow_reconnect=False,
            connect_timeout=3,
            **({"tls": context} if context is not None else {}),
        )
        self._stack.push_async_callback(nc.close)
        return nc

    async def hears(self, nc: nats.NATS, subject: str, queue: str = "") -> Heard:
        """A subscription, as far as the broker allows it."""
        heard = Heard()
        await nc.subscribe(subject, queue=queue, cb=heard.take)
        await nc.flush()
        return heard

    def reply(self, caller: str, connection: str = "c0ffee", region: str = "eu", via: str = "_") -> str:
        """A reply subject, with half a minute's time."""
        self._numbers += 1
        deadline = SYSTEM_CLOCK.wall_ms() + 30_000
        return f"lr.v1.acme.{region}.rep.{via}.{caller}.{connection}.{self._numbers:x}q-{deadline:x}-f"

    async def say(self, nc: nats.NATS, subject: str, data: bytes = b"{}", reply: str = "") -> None:
        """Publish, and wait until the broker has dealt with it and the nodes with what it let through."""
        await nc.publish(subject, data, reply=reply)
        await nc.flush()
        await self.honest()

    async def honest(self) -> None:
        """What alice asks is answered, in each region: so all that came before has been dealt with."""
        alice = await self.raw("alice")
        for region in ("eu", "us"):
            heard = await self.hears(alice, f"lr.v1.acme.{region}.rep._.alice.ab.*")
            async with asyncio.timeout(10):
                while not any(not message.headers for message in heard):
                    # Again, where a region has yet to learn that there is a node in the other.
                    request = f"lr.v1.acme.{region}.req.docs._._.alice.tools-call.echo"
                    body = call("echo", {"text": "honest"})
                    await alice.publish(request, body, reply=self.reply("alice", "ab", region))
                    await alice.flush()
                    await asyncio.sleep(0.02)
        await alice.close()

    def has_run(self, text: str) -> bool:
        """Whether something ran with that text."""
        return any(run[-1] == text for run in self.ran)


@asynccontextmanager
async def estate(deployed: Deployment) -> AsyncIterator[Estate]:
    """Nodes on a deployment, until the block ends."""
    async with AsyncExitStack() as stack:
        made = Estate(deployed, stack)
        for key in ("n-eu", "n-us"):
            await made.start(key)
        yield made


async def eventually(condition: Any, timeout_s: float = 30.0) -> bool:
    """Whether it comes to be so within that time."""
    end = SYSTEM_CLOCK.monotonic() + timeout_s
    while not condition():
        if SYSTEM_CLOCK.monotonic() > end:
            return False
        await asyncio.sleep(0.01)
    return True
