"""An actor that crashes on demand leaves its group, and comes back; a node survives malicious callers."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.broker import Broker
from tests.support.nodes import NodeProcess

from longreach import NatsOptions, Node, NodeSettings, Server, connect
from longreach.errors import RemoteError


async def test_callers_are_served_by_the_other_node_meanwhile_and_by_both_again(broker: Broker) -> None:
    first, second = [await NodeProcess.start(broker.url) for _ in range(2)]
    try:
        async with connect(broker.url, timeout_s=10) as mesh:
            pinned = mesh.options(node=first.name)
            with pytest.raises(RemoteError) as crash:
                await pinned.call("chaos.poke", {"crash": True})
            assert crash.value.delivered == "yes"
            assert crash.value.reason == "crashed_actor"
            for _ in range(50):  # nobody notices
                assert not (await mesh.call("chaos.poke", {})).is_error
            async with asyncio.timeout(10):
                seen: set[str | None] = set()
                while len(seen) < 2:
                    seen.add((await mesh.call("chaos.poke", {})).node)
            assert seen == {first.name, second.name}
    finally:
        await first.close()
        await second.close()


async def test_a_caller_that_crashes_it_on_purpose_cannot_bring_the_node_down(broker: Broker) -> None:
    first, second = [await NodeProcess.start(broker.url) for _ in range(2)]
    try:
        async with connect(broker.url, timeout_s=10) as mesh:

            async def attack() -> None:
                for _ in range(20):
                    with pytest.raises((RemoteError, Exception)):
                        await mesh.options(timeout_s=2).call("chaos.poke", {"crash": True})

            attacks = [asyncio.ensure_future(attack()) for _ in range(4)]  # noqa: TID251 - awaited below
            for _ in range(100):  # other actors of both nodes go on
                assert not (await mesh.call("chaos.where", {})).is_error
            await asyncio.gather(*attacks)
            assert first.process.returncode is None
            assert second.process.returncode is None
            nodes = {(await mesh.call("chaos.where", {})).node for _ in range(100)}
            assert nodes == {first.name, second.name}
    finally:
        await first.close()
        await second.close()


async def test_a_server_that_cannot_start_ends_its_node(broker: Broker) -> None:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(server: Server) -> object:
        raise RuntimeError("no database")
        yield

    broken = Server("broken", lifespan=lifespan, intensity=2)  # type: ignore[arg-type]

    @broken.tool
    async def never() -> str:
        return "never"

    node = Node(broken, settings=NodeSettings(connection=NatsOptions(urls=(broker.url,))))
    async with asyncio.timeout(10):
        assert await node.run() == 1
    assert node.failed is not None
    assert "no database" in node.failed
