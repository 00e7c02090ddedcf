"""A second signal stops a node at once, whatever it waits for."""

from __future__ import annotations

import asyncio

from tests.support.broker import Broker
from tests.support.nodes import NodeProcess

from longreach import connect


async def test_the_second_signal_does_not_wait_for_a_broker_that_hangs(broker: Broker) -> None:
    node = await NodeProcess.start(broker.url)
    try:
        broker.stop()
        node.terminate()
        await asyncio.sleep(0.3)  # the drain has begun, and waits for the broker
        assert node.process.returncode is None
        node.terminate()
        await node.ended(2.5)
    finally:
        broker.cont()
        await node.close()


async def test_the_second_signal_cuts_calls_off_and_says_so(broker: Broker) -> None:
    node = await NodeProcess.start(broker.url)
    try:
        async with connect(broker.url, timeout_s=20) as mesh:
            call = asyncio.ensure_future(  # noqa: TID251 - awaited below
                mesh.call("chaos.change", {"seconds": 15, "ident": "x"})
            )
            async with asyncio.timeout(30):
                while not (await mesh.ops(node.name, "info"))["inFlight"]:
                    await asyncio.sleep(0.02)
            node.terminate()
            await asyncio.sleep(0.3)
            assert not call.done()
            node.terminate()
            assert await node.ended(5) == 0
            (error,) = await asyncio.gather(call, return_exceptions=True)
            assert getattr(error, "delivered", None) == "unknown"
            assert getattr(error, "reason", None) == "cut_off"
    finally:
        await node.close()


async def test_the_second_signal_ends_a_node_whose_loop_a_handler_holds(broker: Broker) -> None:
    node = await NodeProcess.start(broker.url)
    try:
        async with connect(broker.url, timeout_s=30) as mesh:
            before = mesh.stats.attempts
            call = asyncio.ensure_future(mesh.call("chaos.hold_gil", {"seconds": 25}))  # noqa: TID251 - cancelled below
            async with asyncio.timeout(30):
                while mesh.stats.attempts == before:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)  # it is on its way, and nothing tells of it: the node's loop is held
            node.terminate()
            await asyncio.sleep(0.3)
            assert node.process.returncode is None
            node.terminate()
            assert await node.ended(6) == 1
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
    finally:
        await node.close()
