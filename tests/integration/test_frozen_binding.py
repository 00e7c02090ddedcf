"""Neighbouring releases work together: a frozen binding is replayed against today's nodes and clients.

What was said is in tests/data/binding1/: the messages of a node and of a client, and the reader of frames as
it was. Source: docs/binding.md M11.1 to M11.4.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from tests.data.binding1 import frames as reader
from tests.support.capture import IDENTITY, Message, converse, docs, frozen

from longreach import Node, NodeSettings, connect
from longreach.transport.link import Headers
from longreach.transport.memory import MemoryBroker
from longreach.wire.frames import Announcement as NewAnnouncement
from longreach.wire.frames import Stats
from longreach.wire.frames import decode as decode_new

BINDING1 = frozen("binding1")
INSTANCE = next(m.subject.split(".")[7] for m in BINDING1 if ".adv." in m.subject)
_DEADLINE = re.compile(r"-[0-9a-f]+-([fn])$")
VOLATILE = {"clockMs", "instance", "seq", "longreach/node", "digest", "progressToken", "blobs"}
"""Members whose values differ from run to run, or stand for bytes that may be others."""


def call_of(token: str) -> str:
    """The last token of a reply subject, without a deadline: those that were captured have passed."""
    return _DEADLINE.sub(r"-0-\1", token.rpartition(".")[2])


def is_answer(message: Message) -> bool:
    return ".rep." in message.subject


def lacks(new: Any, old: Any, path: str = "") -> list[str]:
    """What of `old` is not in `new`; what is new in it hurts nobody."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            lack
            for key, value in old.items()
            for lack in ([f"{path}.{key}"] if key not in new else lacks(new[key], value, f"{path}.{key}"))
            if key in new or key not in VOLATILE
        ]
    if path.rpartition(".")[2] in VOLATILE:
        return []
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            lack
            for n, (a, b) in enumerate(zip(new, old, strict=True))
            for lack in lacks(a, b, f"{path}[{n}]")
        ]
    return [] if new == old else [f"{path}: {new!r} is not {old!r}"]


class OldClient:
    """A client of a frozen binding: it says what it said, when it has heard what it had heard by then."""

    def __init__(self, broker: MemoryBroker, instance: str) -> None:
        self._link = broker.link()
        self._instance = instance
        self._news = asyncio.Event()
        self.heard: dict[str, list[Message]] = defaultdict(list)
        self._link.subscribe("lr.v1.default.*.rep.>", self._take)

    def _take(self, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        frame = (headers or {}).get("Lr", "")
        self.heard[call_of(subject)].append(Message(subject, reply, frame, data.decode()))
        self._news.set()

    async def replay(self, messages: list[Message]) -> None:
        due: dict[str, int] = defaultdict(int)
        for message in messages:
            if is_answer(message):
                due[call_of(message.subject)] += 1
            elif message.reply:
                await self._until(due)
                reply = message.reply.rpartition(".")[0] + "." + call_of(message.reply)
                body = _DEADLINE.sub(r"-0-\1", re.sub(r"-[0-9a-f]{11}-([fn])\"", r'-0-\1"', message.body))
                self._link.send(message.subject.replace(INSTANCE, self._instance), body.encode(), reply)
        await self._until(due)

    async def _until(self, due: dict[str, int]) -> None:
        async with asyncio.timeout(10):
            while any(len(self.heard[call]) < count for call, count in due.items()):
                self._news.clear()
                await self._news.wait()


async def test_what_a_client_of_the_frozen_binding_says_is_answered_as_it_was(broker: MemoryBroker):
    """M11.2: a newer node, an older client."""
    settings = NodeSettings(region="eu", identity=IDENTITY)
    async with Node(docs(), settings=settings, link=broker.link()) as node:
        client = OldClient(broker, node.instance)
        await client.replay(BINDING1)
    expected: dict[str, list[Message]] = defaultdict(list)
    for message in filter(is_answer, BINDING1):
        expected[call_of(message.subject)].append(message)
    assert len(expected) >= 15
    for call, old in expected.items():
        new = client.heard[call]
        assert sorted(m.frame for m in new) == sorted(m.frame for m in old), f"{old} became {new}"
        for one in old:
            answers = [json.loads(m.body) for m in new if m.frame == one.frame]
            assert [] in [lacks(answer, json.loads(one.body)) for answer in answers], f"{one} became {new}"


class OldNode:
    """A node of a frozen binding: it answers what it was asked then."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._link = broker.link()
        self._answers: dict[str, list[list[Message]]] = defaultdict(list)
        self.blobs: dict[str, bytes] = {}
        self.unknown: list[str] = []
        told: dict[str, list[Message]] = {}
        for message in BINDING1:
            if is_answer(message):
                told[message.subject.rpartition(".")[2]].append(message)
                if '"blobs"' in message.body:
                    self.blobs |= reader.by_digest(reader.decode(message.body.encode(), reader.BlobsReply))
            elif message.reply:
                answers = told[message.reply.rpartition(".")[2]] = []
                self._answers[self._question(message.subject, message.body)].append(answers)
        here = "lr.v1.default.eu"
        node = f"{IDENTITY}.{INSTANCE}"
        for subject in (f"{here}.node.{node}.>", "lr.v1.default.*.who.*.*", f"{here}.all.docs.>"):
            self._link.subscribe(subject, self._take)
        for to in ("_", "v1", f"n-{INSTANCE}"):
            self._link.subscribe(f"{here}.req.docs.{to}.>", self._take, "docs")

    def _question(self, subject: str, body: str) -> str:
        params = json.loads(body).get("params", {})
        params.pop("_meta", None)
        return f"{subject.split('.')[-2:]} {json.dumps(params, sort_keys=True)}"

    def _take(self, subject: str, reply: str, data: bytes, _: Headers | None) -> None:
        verb = subject.rpartition(".")[2]
        if verb == "blobs":
            wanted = json.loads(data)["digests"]
            blobs = b",".join(self.blobs[digest] for digest in wanted)
            self._send(reply, b'{"blobs":[%s],"missing":[]}' % blobs)
            return
        if verb == "alive":
            self._send(
                reply,
                json.dumps({"identity": IDENTITY, "instance": INSTANCE, "gone": [], "clockMs": 1}).encode(),
            )
            return
        if verb == "whose" and not json.loads(data)["calls"]:
            about = {"identity": IDENTITY, "instance": INSTANCE, "region": "eu", "clockMs": 1}
            self._send(reply, json.dumps({**about, "have": [], "done": []}).encode())
            return
        if verb == "cancel":
            return
        known = self._answers.get(self._question(subject, data.decode()))
        if not known:
            self.unknown.append(f"{subject} {data.decode()}")
            return
        for message in known[0]:
            if '"cancelled"' in message.body:  # what came of a cancel
                continue
            body = json.loads(message.body)
            if "id" in body:
                body["id"] = json.loads(data)["id"]
            if message.frame == "note":
                body["params"]["progressToken"] = reply.rpartition(".")[2]
            self._send(reply, json.dumps(body).encode(), message.frame)

    def _send(self, reply: str, data: bytes, frame: str = "") -> None:
        parts = reply.split(".")
        parts[3] = "eu"
        self._link.send(".".join(parts), data, headers={"Lr": frame} if frame else None)


async def test_a_node_of_the_frozen_binding_is_understood(broker: MemoryBroker):
    """M11.2, M11.3: a newer client, an older node."""
    node = OldNode(broker)
    async with connect(link=broker.link(), region="eu", caller="alice", timeout_s=5) as mesh:
        await converse(mesh)
        assert node.unknown == []
        called = await mesh.call("docs.echo", {"text": "hello"})
        assert (called.text, called.attempts) == ("hello", 1)
        assert [tool.name for tool in await mesh.tools()] == ["echo", "fails", "slow"]
        assert (await mesh.read("docs", "mem://today", fresh=True)).text == "rain"
        assert [row.why for row in (await mesh.explain("docs.echo")).places] == ["home"]


def test_what_is_announced_today_was_readable_then():
    """M11.3, M11.4: members that an older reader does not know mean nothing to it."""
    said = NewAnnouncement(
        server="docs", version="2.1.0", digest="d", region="eu", identity="n", instance="i", state="up",
        seq=1, clock_ms=5, canary=10, stats=Stats(3, 1),
    )  # fmt: skip
    read = reader.decode(msgspec.json.encode(said), reader.Announcement)
    assert (read.server, read.version, read.state) == ("docs", "2.1.0", "up")
    before: Any = reader.Announcement(**{
        name: getattr(said, name) for name in reader.Announcement.__struct_fields__
    })  # fmt: skip
    understood = decode_new(msgspec.json.encode(before), NewAnnouncement)
    assert (understood.canary, understood.stats) == (msgspec.UNSET, msgspec.UNSET)


async def test_a_canary_is_addressed_only_where_it_is_announced(broker: MemoryBroker):
    """M11.4: an older node says nothing of canaries, and is none."""
    OldNode(broker)
    async with connect(link=broker.link(), region="eu", caller="alice") as mesh:
        assert [share.weight for share in await mesh.canaries("docs")] == [100]
        assert {row.target for row in (await mesh.explain("docs")).places} == {"_"}


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker()
