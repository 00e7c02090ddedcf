"""What hearing of the mesh costs a client at the edge, in bytes on its own link. The figures of docs/edge.md.

Nodes beat 24 times faster than they do by default, so that a minute's heartbeats pass in seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from longreach import Mesh, NatsOptions, Node, NodeSettings, Server, connect
from longreach.testing import Broker, Proxy
from longreach.testing.proxy import Direction

NODES, SERVERS, TOOLS = 5, 4, 10
BEAT_S = 0.5
SECONDS = 4.0
LEAST_BEAT = 0.9
"""Chance shortens each pause by so much at most."""
BYTES = 400
"""One server of one node, told once: the bound of docs/edge.md."""
PINGS = 20.0
"""Bytes a second and way, of the link's own pings."""


class Meter:
    """Counts what passes a link."""

    def __init__(self) -> None:
        self.up = self.down = self.announcements = 0

    def hear(self, direction: Direction, data: bytes) -> None:
        if direction == "up":
            self.up += len(data)
        else:
            self.down += len(data)
            self.announcements += data.count(b".adv.")

    def clear(self) -> None:
        self.up = self.down = self.announcements = 0


def server(number: int) -> Server:
    made = Server(f"server-{number}", version="1.0.0")
    for tool in range(TOOLS):

        @made.tool(name=f"tool_{tool}")
        async def handler(text: str, count: int = 1) -> str:
            """Do something with a text.

            Args:
                text: what it is done with.
                count: how often.
            """
            return text * count

    return made


@asynccontextmanager
async def metered(**options: Any) -> AsyncIterator[tuple[Mesh, Meter]]:
    """A client of a mesh of some size, and what passes its link."""
    meter = Meter()
    async with (
        Broker() as broker,
        Proxy(broker.url, tap=meter.hear) as link,
        contextlib.AsyncExitStack() as stack,
    ):
        connection = NatsOptions(urls=(broker.url,))
        for number in range(NODES):
            settings = NodeSettings(
                region="edge-region",
                identity=f"a-node-{number}",
                announce_every_s=BEAT_S,
                connection=connection,
            )
            await stack.enter_async_context(Node(*map(server, range(SERVERS)), settings=settings))
        async with connect(link.url, **options) as mesh:
            await mesh.tools()
            yield mesh, meter


async def test_hearing_of_the_mesh_costs_so_much_and_no_more() -> None:
    async with metered() as (mesh, meter):
        fetched = meter.down
        assert len(await mesh.tools()) == SERVERS * TOOLS
        assert fetched < NODES * SERVERS * 2 * BYTES + SERVERS * (TOOLS + 1) * 1000
        meter.clear()
        began = time.monotonic()
        await asyncio.sleep(SECONDS)
        took_s = time.monotonic() - began
        beats = took_s / (BEAT_S * LEAST_BEAT) + 1
        assert 0 < meter.announcements <= NODES * SERVERS * beats
        each = (meter.down - PINGS * took_s) / meter.announcements
        assert each <= BYTES
        assert meter.up <= PINGS * took_s


async def test_a_client_of_one_server_hears_of_that_one_only() -> None:
    async with metered(servers=["server-1"]) as (_, meter):
        meter.clear()
        await asyncio.sleep(SECONDS)
        assert 0 < meter.announcements <= NODES * (SECONDS / (BEAT_S * LEAST_BEAT) + 1)


async def test_a_client_that_asks_hears_no_heartbeat_and_pays_for_its_questions() -> None:
    async with metered(ask_every_s=SECONDS * 2) as (mesh, meter):
        meter.clear()
        await asyncio.sleep(SECONDS)
        assert meter.announcements == 0
        assert meter.down <= PINGS * SECONDS
        meter.clear()
        await mesh._session.discovery.census()
        assert meter.down <= NODES * SERVERS * 2 * BYTES
        assert meter.up <= SERVERS * BYTES + 1000
        assert len(mesh.catalog.instances) == NODES * SERVERS
