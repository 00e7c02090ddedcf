"""A client that knows nothing but docs/binding.md: sends what it is told, keeps what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from longreach.transport.link import Headers
from longreach.transport.memory import MemoryBroker

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Heard(NamedTuple):
    """A message on a reply subject; `frame` is None for a response."""

    call: str
    frame: str | None
    body: Any
    headers: Headers | None


def request(tool: str, arguments: Any = None, **changes: Any) -> bytes:
    """The body of a tools/call; `changes` replace its members, those of `params` as a dict."""
    params = {"name": tool, "arguments": arguments or {}, "_meta": META, **changes.pop("params", {})}
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params, **changes}
    )


class Asker:
    """One connection of a client."""

    def __init__(
        self, broker: MemoryBroker, *, region: str = "local", asker: str = "_._", connection: str = "c0ffee"
    ) -> None:
        self.link = broker.link()
        self.asker = asker
        self.root = f"lr.v1.default.{region}"
        self.inbox = f"{self.root}.rep.{asker}.{connection}"
        self.heard: list[Heard] = []
        self._news = asyncio.Event()
        self.link.subscribe(f"{self.inbox}.*", self._take)
        self.link.subscribe("_INBOX.>", self._take)

    def _take(self, subject: str, _: str, data: bytes, headers: Headers | None) -> None:
        frame = (headers or {}).get("Lr")
        call = subject if subject.startswith("_INBOX.") else subject.rpartition(".")[2]
        self.heard.append(Heard(call, frame, msgspec.json.decode(data) if data else None, headers))
        self._news.set()

    def send(self, tail: str, body: bytes, call: str = "1-0-f", *, reply: str | None = None) -> None:
        """Publish to what comes after the region."""
        self.link.send(f"{self.root}.{tail}", body, reply if reply is not None else f"{self.inbox}.{call}")

    def request(self, tool: str, arguments: Any = None, call: str = "1-0-f", to: str = "_") -> None:
        """Send a request to `docs`."""
        self.send(f"req.docs.{to}.{self.asker}.tools-call.{tool}", request(tool, arguments), call)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait, bounded, until `condition` holds after something was heard."""
        async with asyncio.timeout(30):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def answer(self, call: str = "1-0-f") -> Any:
        """The response for `call`."""
        await self.until(lambda: self.answers(call))
        return self.answers(call)[0]

    def answers(self, call: str = "1-0-f") -> list[Any]:
        """The responses for `call` so far."""
        return [heard.body for heard in self.heard if heard.call == call and heard.frame is None]

    def frames(self, call: str = "1-0-f") -> list[str]:
        """The kinds of the frames for `call` so far."""
        return [heard.frame for heard in self.heard if heard.call == call and heard.frame is not None]

    async def ask(self, tool: str, arguments: Any = None, call: str = "1-0-f", to: str = "_") -> Any:
        """Send a request, and the response."""
        self.request(tool, arguments, call, to)
        return await self.answer(call)

    async def settle(self) -> None:
        """Until what was sent, and what was sent because of it, has arrived."""
        for _ in range(4):
            await self.link.fence(5)


def reason(answer: Any) -> Any:
    """`data.reason` of an error response."""
    return answer["error"]["data"]["reason"]


def text(answer: Any) -> str:
    """The text of a result."""
    return str(answer["result"]["content"][0]["text"])
