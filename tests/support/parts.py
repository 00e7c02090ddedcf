"""A client that knows of parts what docs/binding.md 16 says, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from tests.support.asker import META

from longreach.transport.link import Headers
from longreach.transport.memory import MemoryBroker
from longreach.wire.digest import digest

NODE = "node.n1.{instance}.{asker}.{verb}"


class Message(NamedTuple):
    """What came for a call; `kind` is None where it has no header."""

    call: str
    kind: str | None
    data: bytes

    @property
    def head(self) -> Any:
        return msgspec.json.decode(self.data.partition(b"\n")[0])

    @property
    def inline(self) -> bytes:
        return self.data.partition(b"\n")[2]


class PartsAsker:
    """One connection that understands parts, unless told otherwise."""

    def __init__(
        self, broker: MemoryBroker, instance: str, *, asker: str = "_._", connection: str = "c0ffee-p"
    ) -> None:
        self.link = broker.link()
        self.instance = instance
        self.asker = asker
        self.root = "lr.v1.default.local"
        self.inbox = f"{self.root}.rep.{asker}.{connection}"
        self.heard: list[Message] = []
        self._news = asyncio.Event()
        self.link.subscribe(f"{self.inbox}.*", self._take)

    def _take(self, subject: str, _: str, data: bytes, headers: Headers | None) -> None:
        self.heard.append(Message(subject.rpartition(".")[2], (headers or {}).get("Lr"), data))
        self._news.set()

    def post(self, tail: str, body: bytes, call: str, headers: Headers | None = None) -> None:
        self.link.send(f"{self.root}.{tail}", body, f"{self.inbox}.{call}", headers)

    def call(self, tool: str, call: str = "1-0-f", **arguments: Any) -> None:
        self.post(self.target(tool), request(tool, **arguments), call)

    def target(self, tool: str) -> str:
        return f"req.docs._.{self.asker}.tools-call.{tool}"

    def offer(self, tool: str, body: bytes, call: str = "1-0-f", inline: int = 0, **changes: Any) -> None:
        """Offer `body` in the place of a request."""
        head = {"size": len(body), "digest": digest(body), **changes}
        message = msgspec.json.encode(head) + b"\n" + body[:inline]
        self.post(self.target(tool), message, call, {"Lr": "parts"})

    def verb(self, verb: str, body: bytes, call: str) -> None:
        self.post(NODE.format(instance=self.instance, asker=self.asker, verb=verb), body, call)

    def put(self, body: bytes, at: int, size: int, call: str = "1-0-f") -> None:
        head = msgspec.json.encode({"call": call, "at": at})
        self.verb("put", head + b"\n" + body[at : at + size], "9-0-f")

    async def part(self, at: int, size: int, number: int, call: str = "1-0-f") -> bytes:
        """Ask for a range of the result of `call`, and what is answered."""
        token = f"5{number}-0-f"
        self.verb("part", msgspec.json.encode({"call": call, "at": at, "bytes": size}), token)
        return (await self.wait(lambda message: message.call == token)).data

    async def wait(self, wanted: Callable[[Message], bool], count: int = 1) -> Message:
        """The `count`-th message that is wanted."""
        async with asyncio.timeout(30):
            while len(found := [each for each in self.heard if wanted(each)]) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]

    async def frame(self, kind: str, call: str = "1-0-f", count: int = 1) -> Message:
        return await self.wait(lambda each: each.call == call and each.kind == kind, count)

    async def answer(self, call: str = "1-0-f") -> Any:
        """The response."""
        found = await self.wait(lambda each: each.call == call and each.kind is None)
        return msgspec.json.decode(found.data)

    async def settle(self) -> None:
        for _ in range(4):
            await self.link.fence(5)


def request(tool: str, **arguments: Any) -> bytes:
    params = {"name": tool, "arguments": arguments, "_meta": META}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
