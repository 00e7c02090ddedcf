"""Nodes hear each other by their announcements, and say where their content differs."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from tests.support.hosts import node
from tests.support.links import eventually

from longreach import Server
from longreach.node import peers
from longreach.node.peers import Peers, encode_question
from longreach.transport.link import Denied
from longreach.transport.memory import MemoryBroker
from longreach.wire.frames import Announcement

ADV = "lr.v1.default.local.adv.docs"


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_ANSWER_S", 0.02)
    monkeypatch.setattr(peers, "_SETTLE_S", 0.05)


def docs(*tools: str, version: str = "1.0.0") -> Server:
    server = Server("docs", version=version)
    for name in tools:

        @server.tool(name=name)
        async def tool() -> str:
            return ""

    return server


def told(caplog: pytest.LogCaptureFixture, name: str = "group.differs") -> list[dict[str, Any]]:
    return [record.event_fields for record in caplog.records if record.getMessage() == name]  # type: ignore[attr-defined]


async def test_nodes_of_one_version_and_other_content_are_named_on_both_sides(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
):
    async with node(broker, docs("a"), identity="old") as old, node(broker, docs("b"), identity="new") as new:
        await eventually(lambda: len(told(caplog)) == 2)

    assert {each["others"] for each in told(caplog)} == {old.name, new.name}
    assert {(each["server"], each["version"]) for each in told(caplog)} == {("docs", "1.0.0")}


async def test_a_late_node_hears_of_the_others_without_waiting_for_their_heartbeats(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
):
    async with (
        node(broker, docs("a"), identity="n1"),
        node(broker, docs("a"), identity="n2"),
        node(broker, docs("b"), identity="late") as late,
    ):
        await eventually(lambda: any(each["others"] != late.name for each in told(caplog)))


async def test_only_one_of_many_that_are_alike_answers_a_late_one(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(peers, "_ANSWER_S", 0.2)
    heard: list[Announcement] = []
    link = broker.link()
    link.subscribe(
        f"{ADV}.*.*", lambda _, __, data, ___: heard.append(msgspec.json.decode(data, type=Announcement))
    )
    alike = [node(broker, docs("a"), identity=f"n{number}") for number in range(20)]
    for each in alike:
        await each.start()
    heard.clear()
    async with node(broker, docs("b"), identity="late"):
        await eventually(lambda: any(each.identity != "late" for each in heard))
        await asyncio.sleep(0.25)  # all would have answered by now
        assert sum(each.identity != "late" for each in heard) < 10
    for each in alike:
        await each.stop()
    await link.close()


@pytest.mark.parametrize(
    ("other", "changes"),
    [
        (docs("a"), {}),
        (docs("b", version="1.0.1"), {}),
        (docs("b"), {"region": "elsewhere"}),
        (docs("b"), {"namespace": "other"}),
    ],
)
async def test_the_same_content_another_version_region_or_tenant_is_no_news(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture, other: Server, changes: dict[str, Any]
):
    async with (
        node(broker, docs("a"), identity="n1") as first,
        node(broker, other, identity="n2", **changes) as second,
    ):
        for each in (first, second):
            each._announcer.announce()
        await asyncio.sleep(0.15)
    assert told(caplog) == []


async def test_each_difference_is_logged_once_until_one_of_the_two_changes(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
):
    changing = docs("b")
    async with (
        node(broker, docs("a"), identity="n1") as first,
        node(broker, changing, identity="n2") as second,
    ):
        await eventually(lambda: len(told(caplog)) == 2)
        for _ in range(5):
            first._announcer.announce()
            second._announcer.announce()
        await asyncio.sleep(0.1)
        assert len(told(caplog)) == 2

        @changing.tool
        async def more() -> str:
            return ""

        await eventually(lambda: len(told(caplog)) == 3)
        first._announcer.announce()
        await eventually(lambda: len(told(caplog)) == 4)


async def test_two_that_become_alike_in_time_are_not_named(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
):
    """A change that comes to all nodes of a server comes to one of them first."""
    one, two = docs("a"), docs("a")
    async with node(broker, one, identity="n1"), node(broker, two, identity="n2"):
        for server in (one, two):

            @server.tool
            async def more() -> str:
                return ""

        await asyncio.sleep(0.2)
    assert told(caplog) == []


def peers_of(broker: MemoryBroker, answers: list[str], **changes: Any) -> Peers:
    made = Peers(
        broker.link(), namespace="default", region="local", server="docs", version="1.0.0", me=("me", "0"),
        labels={}, digest=lambda: "mine", announce=lambda: answers.append("announced"), **changes,
    )  # fmt: skip
    made.start()
    return made


def said(instance: str, *, identity: str = "n", **changes: Any) -> bytes:
    whole = {
        "server": "docs", "version": "1.0.0", "digest": "theirs", "region": "local", "identity": identity,
        "instance": instance, "state": "up", "seq": 1, "clockMs": 0, "labels": {}, "binding": 1, **changes,
    }  # fmt: skip
    return msgspec.json.encode(whole)


async def test_a_question_is_answered_by_one_that_is_there_and_by_its_like_no_more(broker: MemoryBroker):
    """M8.10"""
    answers: list[str] = []
    made, link = peers_of(broker, answers), broker.link()
    instance, question = encode_question("docs", "local", "new")

    link.send(f"{ADV}.new.{instance}", question)
    await eventually(lambda: answers == ["announced"])

    link.send(f"{ADV}.new.{instance}", question)
    link.send(f"{ADV}.n.like", said("like", digest="mine"))
    await asyncio.sleep(0.1)
    assert answers == ["announced"]
    made.close()


async def test_one_with_other_labels_does_not_answer_for_it(broker: MemoryBroker):
    """M8.10"""
    answers: list[str] = []
    made, link = peers_of(broker, answers), broker.link()
    instance, question = encode_question("docs", "local", "new")

    link.send(f"{ADV}.new.{instance}", question)
    link.send(f"{ADV}.n.other", said("other", digest="mine", labels={"bridge": "replica"}))
    await eventually(lambda: answers == ["announced"])
    made.close()


async def test_a_node_that_drains_asks_nothing(broker: MemoryBroker):
    answers: list[str] = []
    made, link = peers_of(broker, answers), broker.link()

    link.send(f"{ADV}.n.1", said("1", state="down", seq=7))
    await asyncio.sleep(0.1)

    assert answers == []
    made.close()


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", said("2"), said("1", identity="x"), said("1", server="other"), b"\xff" * 100],
)
async def test_what_is_malformed_or_in_another_name_is_not_heard(broker: MemoryBroker, data: bytes):
    heard: list[Announcement] = []
    made, link = peers_of(broker, []), broker.link()
    made.listen(heard.append)

    link.send(f"{ADV}.n.1", data)
    link.send(f"{ADV}.n.3", said("3"))
    await eventually(lambda: len(heard) > 0)

    assert [each.instance for each in heard] == ["3"]
    made.close()


async def test_what_it_remembers_is_bounded(broker: MemoryBroker, caplog: pytest.LogCaptureFixture):
    made, link = peers_of(broker, []), broker.link()
    for number in range(2_500):
        link.send(f"{ADV}.n.{number}", said(str(number)))
    await eventually(lambda: len(told(caplog)) == 1)

    assert len(made._differing) == 2_000
    assert len(made._told) <= 2_000
    assert "and 1980 more" in told(caplog)[0]["others"]
    made.close()


async def test_a_listener_that_ended_hears_no_more_and_closing_ends_all(broker: MemoryBroker):
    heard: list[Announcement] = []
    made, link = peers_of(broker, []), broker.link()
    stop = made.listen(heard.append)
    stop()
    link.send(f"{ADV}.n.1", said("1"))
    await asyncio.sleep(0.02)
    assert heard == []
    made.close()
    made.close()
    assert made._answer is None
    assert made._settling is None


async def test_what_a_nodes_credentials_may_not_is_logged_once_for_each_kind_of_subject(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
):
    async with node(broker, docs("a")) as host:
        for call in range(50):
            host._denied(Denied("publish", f"lr.v1.default.local.rep._._.c.{call}-0-f"))
        host._denied(Denied("subscribe", f"{ADV}.*.*"))

    denied = told(caplog, "permission.denied")
    assert [each["kind"] for each in denied] == ["publish", "subscribe"]
    assert {record.levelno for record in caplog.records if record.getMessage() == "permission.denied"} == {
        logging.WARNING
    }
