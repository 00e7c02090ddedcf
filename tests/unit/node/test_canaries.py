"""A server that takes its share of calls in a slot of its own. Source: docs/binding.md 15."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.support.asker import Asker
from tests.support.hosts import node
from tests.support.links import eventually

from longreach import Node, Server, ToolError, connect
from longreach.client import discovery
from longreach.errors import CallTimeout, NotFound, RemoteError
from longreach.node import announcer, canaries
from longreach.node.tally import Tally
from longreach.policy.canary import RULES
from longreach.transport.memory import MemoryBroker

SLOT = "c-2=2e1=2e0"


def docs(version: str) -> Server:
    server = Server("docs", version=version)

    @server.tool(read_only=True)
    async def which(fail: bool = False) -> str:
        if fail:
            raise ToolError("as asked")
        return version

    return server


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process everybody has heard of a change, and answered, within a few milliseconds."""
    monkeypatch.setattr(canaries, "LINGER_S", 0.02)
    monkeypatch.setattr(discovery, "_WHO_QUIET_S", 0.01)
    monkeypatch.setattr(announcer, "_JITTER_S", 0.002)


async def answers(asker: Asker, to: str, number: int) -> str | None:
    """Which version answers under a target token; None: nobody does."""
    asker.request("which", {}, f"{number}-0-f", to)
    answer = await asker.answer(f"{number}-0-f")
    return None if answer is None else answer["result"]["content"][0]["text"]


async def where(asker: Asker, start: int) -> dict[str, str | None]:
    return {to: await answers(asker, to, start + n) for n, to in enumerate(("_", "v2", SLOT))}


async def test_a_canary_is_in_its_slot_and_in_no_other_group(broker: MemoryBroker, asker: Asker):
    """M15.1, M15.2"""
    async with node(broker, docs("2.1.0"), canary=0) as canary:
        assert await where(asker, 1) == {"_": None, "v2": None, SLOT: "2.1.0"}
        assert await answers(asker, f"n-{canary.instance}", 9) == "2.1.0"
        said = canary._announcer._announcement("docs", "up")
        assert said.canary == 0


async def change(broker: MemoryBroker, weight: int | None, version: str = "2.1.0") -> Any:
    async with connect(link=broker.link()) as mesh:
        return await mesh.canary("docs", version, weight)


async def test_an_operator_changes_its_share_and_nothing_falls_between(broker: MemoryBroker, asker: Asker):
    """M15.5"""
    async with node(broker, docs("2.1.0"), canary=0) as canary:
        assert [(s.node, s.weight) for s in await change(broker, 10)] == [(canary.name, 10)]
        assert await where(asker, 1) == {"_": None, "v2": None, SLOT: "2.1.0"}
        assert [s.weight for s in await change(broker, None)] == [100]
        await eventually(lambda: canary._hosted[0].membership.targets == ("_", "v2"))
        assert await where(asker, 5) == {"_": "2.1.0", "v2": "2.1.0", SLOT: None}
        assert [s.weight for s in await change(broker, 50)] == [50]
        await eventually(lambda: canary._hosted[0].membership.targets == (SLOT,))
        assert await where(asker, 10) == {"_": None, "v2": None, SLOT: "2.1.0"}


async def test_a_version_that_no_node_has_cannot_be_a_canary(broker: MemoryBroker):
    async with node(broker, docs("2.1.0")):
        with pytest.raises(NotFound, match=r"no node has version '3'.*live: 2\.1\.0"):
            await change(broker, 10, "3")
        async with connect(link=broker.link()) as mesh:
            instance = next(iter((await mesh.learn("docs")).of_server("docs")))
            with pytest.raises(RemoteError, match="does not have that version any more"):
                await mesh._tell(instance, b'{"server":"docs","version":"1.0","weight":5}', 2.0)


async def test_calls_end_while_the_share_changes(broker: MemoryBroker):
    """M15.5: it is subscribed before it is announced, and leaves the old subjects only then."""
    async with (
        node(broker, docs("2.0.0"), identity="n0"),
        node(broker, docs("2.1.0"), identity="n1"),
        connect(link=broker.link()) as mesh,
        connect(link=broker.link()) as operator,
    ):
        failed: list[BaseException] = []
        over = asyncio.Event()

        async def call_on() -> None:
            while not over.is_set():
                try:
                    assert (await mesh.call("docs.which", {})).attempts == 1
                except BaseException as error:  # noqa: BLE001 - told below
                    failed.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(call_on())
            try:
                for weight in (10, 90, None, 0, None):
                    await operator.canary("docs", "2.1.0", weight)
            finally:  # else the calls go on for ever, and hide why
                over.set()
        assert failed == []


async def test_a_canary_that_fails_takes_itself_out_of_service(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """M15.6, M15.7"""
    monkeypatch.setattr(canaries, "LOOK_EVERY_S", 0.01)
    caplog.set_level(logging.WARNING, "longreach.node.canaries")
    async with (
        node(broker, docs("2.0.0"), identity="n0") as stable,
        node(broker, docs("2.1.0"), identity="n1", canary=50) as canary,
        connect(link=broker.link(), version="2.0.0") as old,
        connect(link=broker.link(), version="2.1.0") as new,
    ):
        for _ in range(RULES.min_calls):
            await old.call("docs.which", {})
            await new.call("docs.which", {"fail": True})
        assert canary._parts is not None
        assert canary._parts.canaries["docs"].weight == 50
        stable._announcer.announce()
        await eventually(lambda: canary._parts.canaries["docs"].weight == 0)
        await eventually(lambda: (said := shares(old)).get("2.1.0") == 0 and said.get("2.0.0") is None)
        assert [r.message for r in caplog.records] == ["canary.worse", "canary.changed"]
        assert canary._parts.canaries["docs"]._looking is None
        assert [s.weight for s in await change(broker, 20)] == [20]


def shares(mesh: Any) -> dict[str, int | None]:
    return {i.version: i.canary for i in mesh._session.discovery.catalog.of_server("docs")}


async def test_a_canary_that_is_as_good_as_the_others_goes_on(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(canaries, "LOOK_EVERY_S", 0.001)
    async with (
        node(broker, docs("2.0.0"), identity="n0") as stable,
        node(broker, docs("2.1.0"), identity="n1", canary=50) as canary,
        connect(link=broker.link(), version="2.0.0") as old,
        connect(link=broker.link(), version="2.1.0") as new,
    ):
        looks = 0
        watch = canary._parts.canaries["docs"]._watch  # type: ignore[union-attr]
        look = watch.look

        def counted(own: Any) -> Any:
            nonlocal looks
            looks += 1
            return look(own)

        monkeypatch.setattr(watch, "look", counted)
        for number in range(40):
            await old.call("docs.which", {"fail": number % 2 == 0})
            await new.call("docs.which", {"fail": number % 2 == 0})
        stable._announcer.announce()
        await eventually(lambda: looks > 20)
        assert canary._parts.canaries["docs"].weight == 50  # type: ignore[union-attr]


async def test_what_became_of_calls_is_counted(broker: MemoryBroker):
    """M15.6"""
    server = docs("1.0.0")

    @server.tool(timeout_s=0.05)
    async def late() -> str:
        await asyncio.sleep(60)
        return "never"

    @server.tool
    async def breaks() -> str:
        raise RuntimeError("no ToolError")

    async with node(broker, server) as host, connect(link=broker.link()) as mesh:
        tally: Tally = host._intake.tallies["docs"]
        assert (tally.calls, tally.errors) == (0, 0)
        for tool, arguments in (
            ("which", {}),
            ("which", {"fail": True}),
            ("which", {"no": 1}),
            ("breaks", {}),
        ):
            await mesh.call(f"docs.{tool}", arguments)
        with pytest.raises(CallTimeout):
            await mesh.call("docs.late", {}, timeout_s=30)
        assert (tally.calls, tally.errors) == (5, 4)
        said = host._announcer._announcement("docs", "up").stats
        assert (said.calls, said.errors) == (5, 4)  # type: ignore[union-attr]


async def test_a_node_that_stops_watches_no_more(broker: MemoryBroker):
    host: Node
    async with node(broker, docs("2.1.0"), canary=50) as host:
        pass
    assert host._parts is not None
    assert host._parts.canaries["docs"]._hearing is None
