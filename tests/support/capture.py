"""A frozen binding: what a node and a client say to each other, as lines of JSON; and how it is taken.

`python -m tests.support.capture FILE` takes today's. What is committed under tests/data/ stays as it is: it
is what releases that are out there say.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import nats
from tests.support.broker import Broker

from longreach import Context, NatsOptions, Node, NodeSettings, Server, ToolError, connect

DATA = Path(__file__).parents[1] / "data"
IDENTITY = "n1"


class Message(NamedTuple):
    """One message as the broker carried it; `frame` is its `Lr` header."""

    subject: str
    reply: str
    frame: str
    body: str


def frozen(binding: str) -> list[Message]:
    """The messages of a frozen binding, in the order in which they came."""
    text = (DATA / binding / "traffic.jsonl").read_text(encoding="utf-8")
    return [Message(**json.loads(line)) for line in text.splitlines()]


def docs(version: str = "1.4.0") -> Server:
    """The server that all captures are of."""
    server = Server("docs", version=version, title="Documents", instructions="Ask for text.")

    @server.tool(read_only=True)
    async def echo(text: str) -> str:
        """Echo."""
        return text

    @server.tool(idempotent=True, timeout_s=20)
    async def slow(seconds: float, ctx: Context) -> str:
        """Take time, and say how far it is."""
        await ctx.progress(1, 2, "half")
        await asyncio.sleep(seconds)
        return "slept"

    @server.tool()
    async def fails() -> str:
        """Fail."""
        raise ToolError("no such page")

    @server.prompt()
    async def summarise(style: str) -> str:
        """Ask for a summary."""
        return f"Summarise it, {style}."

    @server.completion("summarise", "style")
    async def styles(value: str) -> list[str]:
        return [style for style in ("short", "long") if style.startswith(value)]

    @server.resource("mem://today")
    async def today() -> str:
        """Notes of today."""
        return "rain"

    @server.resource("mem://notes/{day}")
    async def notes(day: str) -> str:
        """Notes of a day."""
        return f"sun on {day}"

    return server


async def converse(mesh: Any) -> None:
    """Everything that a client says, once."""
    await mesh.tools()
    await mesh.call("docs.echo", {"text": "hello"})
    await mesh.options(on_progress=lambda *_: None).call("docs.slow", {"seconds": 1.2})
    await mesh.call("docs.fails")
    await mesh.get_prompt("docs.summarise", {"style": "short"})
    await mesh.complete("docs.summarise", "style", "s")
    await mesh.read("docs", "mem://today")
    await mesh.read("docs", "mem://notes/monday")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.4):
            await mesh.call("docs.slow", {"seconds": 5})


async def capture() -> list[Message]:
    """What is said on a broker while a node serves and a client asks for everything once."""
    heard: list[Message] = []

    async def take(message: Any) -> None:
        frame = (message.headers or {}).get("Lr", "")
        heard.append(Message(message.subject, message.reply, frame, message.data.decode()))

    with Broker() as broker:
        nc = await nats.connect(broker.url)
        await nc.subscribe("lr.>", cb=take)
        await nc.flush()
        options = NatsOptions(urls=(broker.url,))
        async with Node(docs(), settings=NodeSettings(region="eu", identity=IDENTITY, connection=options)):
            async with connect(broker.url, region="eu", caller="alice") as mesh:
                await converse(mesh)
            await mesh_less_listings(nc)
        await nc.flush()
        await nc.drain()
    return heard


async def mesh_less_listings(nc: Any) -> None:
    """What bare clients ask in place of keeping a catalog."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    methods = ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover")
    answers = asyncio.Queue[Any]()
    await nc.subscribe("lr.v1.default.*.rep._.bob.0f8e2a.*", cb=answers.put)
    for number, method in enumerate(methods):
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": {"_meta": meta}}
        await nc.publish(
            f"lr.v1.default.eu.req.docs._._.bob.{method.replace('/', '-')}._",
            json.dumps(request).encode(),
            reply=f"lr.v1.default.eu.rep._.bob.0f8e2a.{number}-0-n",
        )
        async with asyncio.timeout(30):
            await answers.get()


def main(path: Path) -> None:
    """Take it, and write it."""
    lines = [json.dumps(message._asdict(), ensure_ascii=False) for message in asyncio.run(capture())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
