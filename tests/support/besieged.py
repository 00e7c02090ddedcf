"""A small world: two nodes, two clients, two gateways with a session between them; and its traffic.

`capture` is what they say to each other when everything is used once; `Siege` sends garbled copies of that to
all of them, and holds the world to what it owes whoever is well-behaved.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import os
import secrets
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import msgspec
import nats
from tests.support.exchanges import LegacyHttp
from tests.support.faces import FaceDouble, text_result
from tests.support.garbling import Garbler, Packet

from longreach import Actor, Context, Mesh, Node, NodeSettings, Server, ToolError, connect, tool
from longreach.actor.raw import RawRequest
from longreach.client.view import Place
from longreach.errors import LongreachError
from longreach.policy.sealing import key_line, new_key
from longreach.transport.link import Link
from longreach.transport.memory import MemoryBroker, Message
from longreach.wire.inputs import ElicitParams, ElicitResult
from longreach_gateway.legacy.era import LegacyEra

_LARGE = "large " * 200_000
_CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    *5 * (("docs.echo", {"text": "on"}), ("docs.slow", {"seconds": 0.05})),
    ("docs.large", {"text": _LARGE}),
)
REPLIES = "lr.v1.default.eu.rep."
ATTACKERS = "a" * 32
"""The `connection` of all attackers' reply subjects."""
_BATCH = 250
_LIFE_MS = 3000
_SETTLE_S = 10.0


def everything() -> Server:
    """A server with something of everything."""
    server = Server("docs", version="1.4.0")

    @server.tool(read_only=True, timeout_s=2)
    async def echo(text: str) -> str:
        """Echo."""
        return text

    @server.tool(timeout_s=2)
    async def slow(seconds: float, ctx: Context = Context.injected) -> str:
        """Takes its time."""
        await ctx.report_progress(1, 2, "half")
        await asyncio.sleep(min(seconds, 0.3))
        return "slept"

    @server.tool(timeout_s=2)
    async def ask(ctx: Context = Context.injected) -> str:
        """Asks its caller."""
        answer = await ctx.elicit("sure?", {"type": "object", "properties": {"yes": {"type": "boolean"}}})
        return str(answer)

    @server.tool(timeout_s=2, read_only=True)
    async def large(text: str) -> str:
        """More than one message holds, either way."""
        return text * 2

    @server.tool(timeout_s=2)
    async def fails() -> str:
        raise ToolError("no such page")

    @server.actor
    class Counting(Actor):
        """Has a state."""

        def __init__(self) -> None:
            self.count = 0

        @tool(timeout_s=2)
        async def count(self, by: int = 1) -> int:
            self.count += by
            return self.count

    async def raw(request: RawRequest) -> bytes:
        return b'{"content":[],"structuredContent":%b,"resultType":"complete"}' % (request.params or b"{}")

    server.add_raw("tool", {"name": "mirror", "inputSchema": {"type": "object"}}, raw, timeout_s=2)

    @server.prompt(complete={"style": lambda value: [value + "!"]})
    async def summarise(style: str) -> str:
        return f"Summarise it, {style}."

    @server.resource("mem://today")
    async def today() -> str:
        return "rain"

    @server.resource("mem://notes/{day}")
    async def notes(day: str) -> str:
        return f"sun on {day}"

    return server


async def _agree(params: ElicitParams) -> ElicitResult:
    return ElicitResult("accept", {"yes": True})


async def _echo(asked: Any) -> Any:
    return text_result(str((asked.params.get("arguments") or {}).get("text")))


class World:
    """Everything that is attacked."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.nodes: list[Node] = []
        self.honest: Mesh
        self.victim: Mesh
        self.session: LegacyHttp
        self.gateways: list[LegacyEra] = []
        self.face = FaceDouble(tools_call=_echo)

    async def use_everything(self) -> None:
        """Each thing that a client says, once, and what gateways say to each other."""
        mesh = self.victim
        await mesh.tools()
        await mesh.call("docs.echo", {"text": "hello"})
        await mesh.call("docs.slow", {"seconds": 0.3}, on_progress=lambda *_: None)
        await mesh.call("docs.ask")
        await mesh.call("docs.fails")
        await mesh.call("docs.count", {"by": 2})
        await mesh.call("docs.mirror", {"any": [1, {"thing": None}]})
        await mesh.get_prompt("docs.summarise", {"style": "short"})
        await mesh.complete("docs.summarise", "style", "s")
        await mesh.read("docs", "mem://today")
        await mesh.read("docs", "mem://notes/monday")
        await mesh.nodes()
        for node in self.nodes:
            await mesh.ops(node.name, "info")
        slow = asyncio.ensure_future(mesh.call("docs.slow", {"seconds": 5}))  # noqa: TID251 - awaited below
        await asyncio.sleep(0.01)
        slow.cancel()
        await asyncio.wait({slow})
        self.nodes[0].servers[0].notify_resource_updated("mem://today")
        called = await self.session.result("tools/call", {"name": "t", "arguments": {"text": "over"}})
        assert called["content"][0]["text"] == "over"
        await mesh._session.discovery.refresh()
        await asyncio.sleep(0.05)

    def questions(self) -> list[Packet]:
        """What is asked about calls, and between gateways, only where something takes its time."""
        node, gateway = self.nodes[0], self.gateways[0].address
        asker, reply = "_.bob", f"{REPLIES}_.bob.0f8e2a.7-0-f"
        calls = b'{"calls":["1-0-f","2z5158def9-0-f"]}'
        here = "lr.v1.default.eu"
        hears = f"{here}.gw.{gateway}"
        head = b'{"kind":"%s","seq":1,"total":90000}\nabc'
        beat = {"sender": ["g2", "eu", "i2"], "answer": "beat-1", "exchanges": ["e1", "e2"]}
        opened = {"exchange": "e1", "sender": ["g2", "eu", "i2"], "method": "POST", "path": "/mcp", "size": 4}
        offer = b'{"size":1200000,"digest":"%s","identity":"n1","instance":"%s","region":"eu"}\n{"jso' % (
            b"A" * 22, node.instance.encode(),
        )  # fmt: skip
        part = b'{"call":"7-0-f","at":0,"bytes":9000}\n'
        put = b'{"call":"7-0-f","at":0}\n{"jsonrpc"'
        pull = (
            b'{"identity":"n1","instance":"%s","region":"eu","at":0,"bytes":9000}\n' % node.instance.encode()
        )
        asks = f"{here}.node.n1.{node.instance}.{asker}"
        return [
            *3 * [Packet(f"{here}.req.docs._.{asker}.tools-call.echo", reply, offer, {"Lr": "parts"})],
            *3 * [Packet(f"{asks}.part", reply, part), Packet(f"{asks}.put", reply, put)],
            *3 * [Packet(reply, "", offer, {"Lr": "parts"}), Packet(reply, "", pull, {"Lr": "pull"})],
            Packet(f"{here}.all.docs.{asker}.whose", reply, calls),
            Packet(f"{here}.all.docs.{asker}.cancel", reply, calls),
            Packet(f"{here}.node.n1.{node.instance}.{asker}.alive", reply, calls),
            Packet(f"{here}.node.n1.{node.instance}.{asker}.cancel", reply, calls),
            Packet(f"{hears}.beat", f"{here}.gw.g2.i2.beat-1", json.dumps(beat).encode() + b"\n"),
            Packet(
                f"{hears}.open",
                f"{here}.gw.g2.i2.e1",
                json.dumps({**opened, "headers": []}).encode() + b"\n{}",
            ),
            *(
                Packet(f"{hears}.e1", "", head % kind)
                for kind in (b"part", b"credit", b"close", b"head", b"body")
            ),
        ]

    async def check(self) -> None:
        """What is well-formed works, for whoever asks; bounded."""
        async with asyncio.timeout(_SETTLE_S):
            for mesh in (self.honest, self.victim):
                assert (await mesh.call("docs.echo", {"text": "ok"})).text == "ok"
                assert (await mesh.read("docs", "mem://today")).text == "rain"
            called = await self.session.result("tools/call", {"name": "t", "arguments": {"text": "still"}})
            assert called["content"][0]["text"] == "still"


@asynccontextmanager
async def world(link: Callable[[], Awaitable[Link]]) -> AsyncIterator[World]:
    """A world on the links that `link` makes; it ends with the block."""
    made = World()
    made.links = [await link() for _ in range(6)]
    one, two, three, four, *rest = made.links
    settings = NodeSettings(region="eu", state_keys=(key_line(new_key(secrets.token_bytes)),))
    made.nodes = [
        Node(everything(), settings=msgspec.structs.replace(settings, identity=name), link=each)
        for name, each in (("n1", one), ("n2", two))
    ]
    async with (
        made.nodes[0],
        made.nodes[1],
        connect(link=three, caller="alice", region="eu", timeout_s=5) as made.honest,
        connect(link=four, caller="bob", region="eu", timeout_s=1, on_elicit=_agree) as made.victim,
    ):
        for name, each in zip(("g1", "g2"), rest, strict=True):
            era = LegacyEra(lambda path, query: made.face, name, Place(each, "default", "eu", None))
            era.open()
            made.gateways.append(era)
        try:
            made.session = LegacyHttp(made.gateways[0])
            await made.session.initialize({})
            made.session.app = made.gateways[1]
            yield made
        finally:
            for era, each in zip(made.gateways, rest, strict=True):
                await era.close()
                await each.close()


class Bus(Protocol):
    """How attackers reach everybody, and hear everything."""

    def hear(self, tap: Callable[[Packet], None]) -> Callable[[], None]: ...
    def publish(self, packet: Packet) -> None: ...
    async def turn(self) -> None: ...


class MemoryBus:
    """A broker in memory; no rule of a client's library is in the way."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._link = broker.link()

    def hear(self, tap: Callable[[Packet], None]) -> Callable[[], None]:
        def look(message: Message) -> bool:
            tap(Packet(message.subject, message.reply, message.data, message.headers))
            return False

        return self._broker.drop(look)

    def publish(self, packet: Packet) -> None:
        self._broker.publish(self._link, Message(packet.subject, packet.reply, packet.data, packet.headers))

    async def turn(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)


class RealBus:
    """Two bare connections to a real broker: one hears all, one writes what no client's library would."""

    def __init__(self, nc: nats.NATS, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._nc = nc
        self._reader, self._writer = reader, writer
        self._taps: list[Callable[[Packet], None]] = []

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[RealBus]:
        nc = await nats.connect(url)
        host, _, port = url.removeprefix("nats://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await reader.readline()
        writer.write(b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"protocol":1}\r\n')
        made = cls(nc, reader, writer)

        async def take(message: Any) -> None:
            for tap in tuple(made._taps):
                tap(Packet(message.subject, message.reply, message.data, message.headers))

        await nc.subscribe("lr.>", cb=take)
        await nc.flush()
        try:
            yield made
        finally:
            writer.close()
            await nc.close()

    def hear(self, tap: Callable[[Packet], None]) -> Callable[[], None]:
        self._taps.append(tap)
        return lambda: self._taps.remove(tap)

    def publish(self, packet: Packet) -> None:
        subject, reply = (text.encode() for text in (packet.subject, packet.reply))
        if not subject or any(byte in subject + reply for byte in b" \t\r\n"):
            return  # the protocol has no way to say it
        if packet.headers is None:
            self._writer.write(b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(packet.data), packet.data))
            return
        lines = "".join(f"{key}: {value}\r\n" for key, value in packet.headers.items())
        head = f"NATS/1.0\r\n{lines}\r\n".encode()
        sizes = (len(head), len(head) + len(packet.data))
        self._writer.write(b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject, reply, *sizes, head, packet.data))

    async def turn(self) -> None:
        """What was written has reached the broker, and the broker has not hung up."""
        self._writer.write(b"PING\r\n")
        async with asyncio.timeout(_SETTLE_S):
            while (line := await self._reader.readline()) != b"PONG\r\n":
                assert line[:4] in (b"INFO", b"-ERR", b"PING"), line
                if line[:4] == b"PING":
                    self._writer.write(b"PONG\r\n")
        await asyncio.sleep(0)


async def capture(made: World, bus: Bus) -> list[Packet]:
    """What is said while everything is used once."""
    heard: list[Packet] = []
    stop = bus.hear(heard.append)
    await made.use_everything()
    for node in made.nodes:
        node._announcer.announce()
    await asyncio.sleep(0.05)
    await bus.turn()
    stop()
    return heard + made.questions()


class Siege:
    """Garbled copies, sent to a world.

    Attributes:
        outcomes: of well-formed requests and wrong ones: how many were answered with what.
    """

    def __init__(self, made: World, bus: Bus, seen: list[Packet], seed: int) -> None:
        self.world = made
        self._bus = bus
        self.garbler = Garbler(seen, seed)
        self.outcomes: Counter[str] = Counter()
        self.broken: list[str] = []
        self._asked: dict[str, Packet] = {}
        self._answers: Counter[str] = Counter()
        self._live: deque[str] = deque(maxlen=64)
        self._exchanges: deque[str] = deque(maxlen=16)
        self._numbers = itertools.count(1)
        self.close = bus.hear(self._hear)

    def _hear(self, message: Packet) -> None:
        """Learn the reply subjects that the victim waits at, and judge what attackers are answered."""
        if ".bob." in message.reply and ATTACKERS not in message.reply:
            self._live.append(message.reply)
        if ".gw." in message.subject and len(message.subject.rpartition(".")[2]) == 32:
            self._exchanges.append(message.subject)
        if f".{ATTACKERS}" in message.subject and not message.headers and message.subject.startswith(REPLIES):
            self._judge(message.subject.rpartition(".")[2], message.data)

    def _judge(self, call: str, answer: bytes) -> None:
        asked = self._asked.get(call)
        if asked is None or asked.subject.split(".")[4:5] != ["req"]:
            return
        self._answers[call] += 1
        said = json.loads(answer)
        kind = "error" if "error" in said else "result"
        self.outcomes[kind] += 1
        if self._answers[call] > 1:
            self.broken.append(f"two answers to {asked!r}")
        if kind == "result" and not _in_order(asked):
            self.broken.append(f"{asked!r} was answered with {answer!r}")

    async def send(self, count: int) -> None:
        """Send so many, in a row of batches; well-formed calls go on meanwhile."""
        victims = asyncio.ensure_future(self._call_on(self.world.victim, LongreachError))  # noqa: TID251
        honest = asyncio.ensure_future(self._call_on(self.world.honest, ()))  # noqa: TID251
        exchanges = asyncio.ensure_future(self.exchange_on())  # noqa: TID251
        try:
            for at in range(0, count, _BATCH):
                for _ in range(min(_BATCH, count - at)):
                    self._send(self.garbler.packet())
                await self._bus.turn()
                if at % (40 * _BATCH) == 0:
                    self._asked.clear()
                    self._answers.clear()
                    self.world.face.asked.clear()
                for task in (victims, honest, exchanges):
                    if task.done():
                        task.result()
        finally:
            for task in (victims, honest, exchanges):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def _send(self, packet: Packet) -> None:
        aimed = self._aim(packet)
        if aimed is not None:
            self._bus.publish(aimed)

    def _aim(self, packet: Packet) -> Packet | None:
        """As an attacker would address it: live calls of the victim, or requests that are new."""
        subject, reply = packet.subject, packet.reply
        tokens = subject.split(".")
        space = tokens[4] if len(tokens) > 4 else ""
        if space == "ops" and tokens[-1] != "info":
            return None  # who may say that is the operator
        if space == "adv" and len(tokens) == 8:
            tokens[6] = "evil"  # the broker holds a node to its own name
            return packet._replace(subject=".".join(tokens))
        if space == "gw" and tokens[-1] not in ("open", "beat") and self._exchanges:
            return packet._replace(subject=self.garbler.random.choice(self._exchanges))
        if space == "rep" and self._live and self.garbler.random.random() < 0.8:
            return packet._replace(subject=self.garbler.random.choice(self._live))
        parts = reply.split(".")
        if len(parts) == 9 and parts[4] == "rep" and self.garbler.random.random() < 0.8:
            parts[7] = ATTACKERS + self.garbler.random.choice(("", "", "-p", "-pz"))
            deadline = self.world.nodes[0]._clock.wall_ms() + _LIFE_MS
            parts[8] = f"{next(self._numbers):x}q-{deadline:x}-f"
            packet = packet._replace(reply=".".join(parts))
            self._asked[parts[8]] = packet
        return packet

    async def exchange_on(self) -> None:
        """Use the session, whatever comes of it: its exchanges are attacked."""
        while True:
            asked = self.world.session.request("tools/call", {"name": "t", "arguments": {"text": "x" * 2000}})
            await asked.done(30)
            self.outcomes["exchanges"] += 1

    async def _call_on(self, mesh: Mesh, may: Any) -> None:
        """Call, one call after the other, for ever; errors of the kind `may` are taken."""
        while True:
            for name, arguments in _CALLS:
                with suppress(may):
                    result = await mesh.call(name, arguments)
                    if may == ():
                        assert result.text in ("on", "slept", 2 * _LARGE)
                    self.outcomes["calls"] += 1
                await asyncio.sleep(0)


def _in_order(asked: Packet) -> bool:
    """Whether a request may have a result: it is JSON in UTF-8, and the body says what the subject says."""
    try:
        body = json.loads(asked.data.decode("utf-8"))
        method = asked.subject.split(".")[9].replace("-", "/", 1 if "templates" not in asked.subject else 2)
        return body["jsonrpc"] == "2.0" and body["method"] == method and "id" in body
    except (ValueError, KeyError, IndexError, TypeError):
        return False


class Held(dict[str, int]):
    """What a world holds: tasks, descriptors, subscriptions, calls, and so on."""

    @classmethod
    def by(cls, made: World) -> Held:
        gc.collect()
        meshes = (made.honest, made.victim)
        return cls(
            tasks=len(asyncio.all_tasks()),
            descriptors=len(os.listdir("/proc/self/fd")),
            subscriptions=sum(len(getattr(link, "_subscriptions")) for link in made.links),  # noqa: B009
            calls=sum(node.in_flight for node in made.nodes),
            results=sum(node._replies.held for node in made.nodes),
            bodies=sum(len(node._parts.large.results) for node in made.nodes if node._parts is not None),
            waiters=sum(len(asker.inbox) for mesh in meshes for asker in mesh._session.askers),
            watched=sum(len(asker.liveness) for mesh in meshes for asker in mesh._session.askers),
            exchanges=sum(len(era.host) + len(era.forwarder) for era in made.gateways),
        )


async def settled(made: World, before: Held) -> Held:
    """What is held when all that was begun has ended; bounded."""
    now = Held.by(made)
    with suppress(TimeoutError):
        async with asyncio.timeout(20):
            while any(now[key] > before[key] for key in before):
                await asyncio.sleep(0.2)
                now = Held.by(made)
    return now


class Alarms(logging.Handler):
    """Keeps what is logged as an error: a sink that failed, a task that failed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.records) < 100:
            self.records.append(record)

    def __enter__(self) -> Alarms:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


def memory_mb() -> float:
    """The memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
