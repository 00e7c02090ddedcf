"""All works in each of the four shapes under the permissions that are generated for it, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import NamedTuple

import pytest
from tests.integration.topology.serving import new_docs
from tests.integration.topology.shapes import SHAPES, describe
from tests.support.topologies import Deployment

from longreach import Node, Server
from longreach.client.info import Update
from longreach.client.mesh import Mesh
from longreach.errors import LongreachError, PermissionDenied

CASES = [(shape, "jwt" if shape == "large" else "nkeys") for shape in SHAPES]


class Running(NamedTuple):
    deployed: Deployment
    docs: Server
    node: Node


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def deployed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with Deployment(describe(*request.param), tmp_path_factory.mktemp("topology")) as deployment:
        yield deployment


@pytest.fixture
async def running(deployed: Deployment) -> AsyncIterator[Running]:
    docs = new_docs()
    async with deployed.node("n-eu", docs) as node:
        yield Running(deployed, docs, node)


async def test_all_that_a_caller_does_works(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for key in ("alice", "far"):
        async with running.deployed.mesh(key) as mesh:
            await _everything(mesh, running, key)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("longreach")] == []
    assert "Violation" not in "".join(broker.log for broker in running.deployed.brokers.values())


async def _everything(mesh: Mesh, running: Running, key: str) -> None:
    assert [tool.qualified for tool in await mesh.tools()] == ["docs.echo", "docs.slow"]
    assert (await mesh.call("docs.echo", {"text": "hi"})).text == "hi"
    large = "x" * 1_500_000  # more than a message holds: it goes in parts, both ways
    assert (await mesh.call("docs.echo", {"text": large})).text == large
    seen: list[float] = []
    result = await mesh.call("docs.slow", {"seconds": 1.2}, on_progress=lambda done, *_: seen.append(done))
    assert (result.text, seen) == (f"None.{key}", [1, 2, 3, 4])
    pinned = await mesh.options(node=running.node.name).call("docs.echo", {"text": "there"})
    assert pinned.node == running.node.name
    prompt = await mesh.get_prompt("docs.greet", {"language": "Deutsch"})
    assert prompt.messages[0].content.text == "hello in Deutsch"
    assert (await mesh.read("docs", "docs://one")).text == f"read by {key}"
    assert (await mesh.complete("docs.greet", "language", "x")).values == ["x!"]
    async with asyncio.timeout(10), mesh.listen("docs", resources=["docs://one"]) as changes:
        assert await _heard(anext(aiter(changes)), running.docs) == "docs://one"
    await _cancel(mesh, running.node)


async def _heard(change: Awaitable[Update], docs: Server) -> str | None:
    """Told again until it is heard: what is far away learns a moment later that somebody listens."""
    waiting = asyncio.ensure_future(change)  # noqa: TID251 - awaited below
    while not waiting.done():
        docs.notify_resource_updated("docs://one")
        await asyncio.wait({waiting}, timeout=0.1)
    return (await waiting).uri


async def _cancel(mesh: Mesh, node: Node) -> None:
    call = asyncio.ensure_future(mesh.call("docs.slow", {"seconds": 30}))  # noqa: TID251 - awaited below
    async with asyncio.timeout(10):
        while node.in_flight == 0:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.6)  # it is accepted, and asked about
        call.cancel()
        while node.in_flight:
            await asyncio.sleep(0.01)


async def test_a_grant_of_one_tool_is_one_tool(running: Running) -> None:
    async with running.deployed.mesh("bob") as mesh:
        assert (await mesh.call("docs.echo", {"text": "hi"})).text == "hi"
        with pytest.raises(PermissionDenied) as refused:
            await mesh.call("docs.slow", {"seconds": 0.1})
        assert refused.value.delivered == "no"
        with pytest.raises(PermissionDenied):
            await mesh.read("docs", "docs://one")


async def test_an_operator_sees_all_and_drains_and_calls_nothing(running: Running) -> None:
    async with running.deployed.mesh("ops") as mesh:
        assert [node.identity for node in await mesh.nodes()] == ["n-eu"]
        with pytest.raises(PermissionDenied):
            await mesh.call("docs.echo", {"text": "hi"})
        await mesh.ops(running.node.name, "drain")
        async with asyncio.timeout(10):
            while running.node.state != "stopped":
                await asyncio.sleep(0.01)


async def test_a_caller_drains_nothing(running: Running) -> None:
    async with running.deployed.mesh("alice") as mesh:
        await mesh.tools()
        with pytest.raises(LongreachError):
            await mesh.ops(running.node.name, "drain")
        assert running.node.state == "serving"
