"""Where a call goes that a node had no room for."""

from __future__ import annotations

import time

import pytest
from tests.support.links import eventually
from tests.support.puppet import Puppet, error, result, tools

from longreach import Mesh, connect
from longreach.errors import NotStarted
from longreach.transport.memory import MemoryBroker

RETRY_AFTER_MS = 30_000


def full(node: str, after_ms: int = RETRY_AFTER_MS) -> bytes:
    return error(-31900, reason="busy", retryAfterMs=after_ms, node=node)


def two(broker: MemoryBroker) -> tuple[Puppet, Puppet]:
    """Two nodes; the group's calls come to the first one, and each takes what is addressed to it."""
    server = tools("do")
    first, second = (Puppet(broker, server, instance=instance, group=False) for instance in ("p1", "p2"))
    for puppet, targets in ((first, ("_", "n-p1")), (second, ("n-p2",))):
        for target in targets:
            puppet.link.subscribe(f"lr.v1.default.local.req.docs.{target}.>", puppet._take, "docs")
    return first, second


async def known(mesh: Mesh) -> None:
    """Until both nodes are."""
    await mesh.refresh()
    await eventually(lambda: len(list(mesh._session.discovery.catalog.of_server("docs"))) == 2)


async def test_it_goes_to_another_node_of_the_region_at_once(broker: MemoryBroker):
    first, second = two(broker)
    first.on["call"], second.on["call"] = lambda _: full("puppet.p1"), lambda _: result("there")
    async with connect(link=broker.link()) as mesh:
        await known(mesh)
        began = time.monotonic()
        answer = await mesh.call("docs.do", {})
    assert (answer.text, answer.attempts, answer.retries) == ("there", 2, ("busy",))
    assert time.monotonic() - began < RETRY_AFTER_MS / 1000 / 2
    assert len(first.asked["call"]) == len(second.asked["call"]) == 1


async def test_where_all_are_full_it_waits_as_long_as_it_was_told(broker: MemoryBroker):
    first, second = two(broker)
    first.on["call"], second.on["call"] = lambda _: full("puppet.p1"), lambda _: full("puppet.p2")
    async with connect(link=broker.link()) as mesh:
        await known(mesh)
        with pytest.raises(NotStarted) as ended:
            await mesh.call("docs.do", {}, timeout_s=5)
    assert ended.value.reason == "busy"
    assert (len(first.asked["call"]), len(second.asked["call"])) == (1, 1)


@pytest.mark.parametrize("node", ["puppet.p9", "no node", "", ".", "puppet.p1.x"])
async def test_a_node_that_nobody_knows_leads_nowhere(broker: MemoryBroker, node: str):
    first, second = two(broker)
    first.on["call"] = lambda _: full(node, 20) if len(first.asked["call"]) < 2 else result("here")
    async with connect(link=broker.link()) as mesh:
        assert (await mesh.call("docs.do", {})).text == "here"
    assert "call" not in second.asked


async def test_a_caller_beyond_its_limit_goes_nowhere_else_at_once(broker: MemoryBroker):
    first, second = two(broker)
    first.on["call"] = lambda _: error(-31900, reason="busy", retryAfterMs=RETRY_AFTER_MS, limit="rate")
    async with connect(link=broker.link()) as mesh:
        with pytest.raises(NotStarted, match="beyond your limit") as ended:
            await mesh.call("docs.do", {}, timeout_s=5)
    assert (ended.value.limit, ended.value.retry_after_s) == ("rate", 30.0)
    assert "call" not in second.asked
