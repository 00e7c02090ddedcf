"""A node whose strings a test pulls: it announces tools, and answers what it is told to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from longreach import Mesh, Server
from longreach.transport.link import Headers
from longreach.transport.memory import MemoryBroker
from longreach.wire import frames
from longreach.wire.manifest import Offer, build_bundle, define


class Asked(NamedTuple):
    """A message to the puppet: the subject's last tokens, the reply subject, the body."""

    subject: str
    reply: str
    body: Any


def tools(*names: str, **options: Any) -> Server:
    """The server ``docs`` with tools of these names."""
    server = Server("docs")
    for name in names:

        async def handler(text: str = "") -> str:
            return text

        server.add_tool(handler, name=name, **options)
    return server


class Puppet:
    """One node."""

    def __init__(
        self, broker: MemoryBroker, server: Server, *, instance: str = "p1", region: str = "local",
        skew_ms: int = 0, group: bool = True, offer: Offer | None = None,
    ) -> None:  # fmt: skip
        self.link = broker.link()
        self.instance = instance
        self.region = region
        self.server = server
        self.skew_ms = skew_ms
        self.seq = 0
        self.asked: dict[str, list[Asked]] = {}
        self.on: dict[str, Callable[[Asked], bytes | None]] = {"who": self._who, "blobs": self._blobs}
        self.on["vouch"] = self._vouch
        self.offer(offer or Offer())
        self._news = asyncio.Event()
        here = f"lr.v1.default.{region}"
        for pattern in (
            f"{here}.node.puppet.{instance}.>", f"{here}.ops.puppet.{instance}.>", f"{here}.who.*.*",
            "lr.v1.default._.who.*.*", f"{here}.all.docs.>",
        ):  # fmt: skip
            self.link.subscribe(pattern, self._take)
        if group:
            self.link.subscribe(f"{here}.req.docs.>", self._take, "docs")

    def offer(self, offer: Offer) -> None:
        """Have something to announce: the server's tools, and what `offer` has beside tools."""
        listed = [define(spec.definition) for spec in self.server.tools.values()]
        self.bundle = build_bundle(
            self.server.name, self.server.version, title=None, instructions=None,
            offer=offer._replace(tools=[*listed, *offer.tools]),
        )  # fmt: skip
        self.contents = {self.bundle.digest: self.bundle.manifest, **self.bundle.blobs}

    def _take(self, subject: str, reply: str, data: bytes, _: Headers | None) -> None:
        parts = subject.split(".")
        verb = "who" if "who" in parts[4:5] else parts[9] if parts[4] == "req" else parts[-1]
        verb = "call" if verb == "tools-call" else verb
        asked = Asked(subject, reply, msgspec.json.decode(data))
        if verb == "whose" and not asked.body["calls"]:
            verb = "vouch"
        self.asked.setdefault(verb, []).append(asked)
        self._news.set()
        answer = self.on.get(verb, lambda _: None)(asked)
        if answer is not None:
            self.reply(asked, answer)

    def reply(self, asked: Asked, data: bytes, frame: str | None = None) -> None:
        """Answer, or send a frame."""
        region = asked.reply.split(".")
        region[3] = self.region
        self.link.send(".".join(region), data, headers={"Lr": frame} if frame else None)

    def accept(self, asked: Asked) -> None:
        """Send `accepted`."""
        body = frames.Accepted("puppet", self.instance, self.region)
        self.reply(asked, msgspec.json.encode(body), "accepted")

    def announcement(self, state: str = "up", **changes: Any) -> dict[str, Any]:
        self.seq += 1
        return {
            "server": self.server.name, "version": self.server.version, "digest": self.bundle.digest,
            "region": self.region, "identity": "puppet", "instance": self.instance, "state": state,
            "seq": self.seq, "clockMs": self.clock_ms(), "labels": {}, "binding": 1, **changes,
        }  # fmt: skip

    def clock_ms(self) -> int:
        from longreach.clock import SYSTEM_CLOCK

        return SYSTEM_CLOCK.wall_ms() + self.skew_ms

    def announce(self, state: str = "up", **changes: Any) -> None:
        """Announce what it offers."""
        subject = f"lr.v1.default.{self.region}.adv.docs.puppet.{self.instance}"
        self.link.send(subject, msgspec.json.encode(self.announcement(state, **changes)))

    def _who(self, _: Asked) -> bytes:
        return msgspec.json.encode({"announcements": [self.announcement()]})

    def _vouch(self, _: Asked) -> bytes:
        about = {"identity": "puppet", "instance": self.instance, "region": self.region, "clockMs": 0}
        return msgspec.json.encode({**about, "have": [], "done": [], "announcement": self.announcement()})

    def _blobs(self, asked: Asked) -> bytes:
        return frames.pack_blobs(self.contents, asked.body["digests"], 1_000_000)[0]

    async def wait(self, verb: str, count: int = 1) -> Asked:
        """The `count`-th message of a kind."""
        async with asyncio.timeout(30):
            while len(self.asked.get(verb, ())) < count:
                self._news.clear()
                await self._news.wait()
        return self.asked[verb][count - 1]


def result(text: str = "done") -> bytes:
    """A response with a result of this text."""
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}]}}
    )


def error(code: int, **data: Any) -> bytes:
    """A response with an error."""
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "no", "data": data}}
    )


def knows_everybody(mesh: Mesh) -> None:
    """Have it that the mesh has heard announcements since ever, so that everybody's "no" is a proof."""
    mesh._session.home.liveness.hears_joins(float("-inf"))


def start(mesh: Mesh, name: str = "docs.do", **options: Any) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(mesh.call(name, {}, **options))


def nothing_is_left(mesh: Mesh) -> None:
    for asker in mesh._session.askers:
        assert len(asker.inbox) == 0
        assert len(asker.liveness) == 0
        assert asker.sender._attempts == {}
        assert asker.in_use == 0
