"""The gateway's ASGI application called directly: no socket, no broker, a double in place of the front."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from longreach.front.endings import Answer
from longreach.front.filters import Filters
from longreach.wire.incoming import Incoming
from longreach_gateway.app import Gateway, Legacy
from longreach_gateway.auth.authenticator import Authenticator
from longreach_gateway.auth.metadata import Resources
from longreach_gateway.doors import Doors
from longreach_gateway.guard import Guard
from longreach_gateway.limits import Limits
from longreach_gateway.modern import Modern
from longreach_gateway.rare import build_rare
from longreach_gateway.running import Overseer

TIMEOUT_S = 10.0
Note = Callable[[bytes], None]
Handler = Callable[[Incoming, Note], Any]


class FrontDouble:
    """Answers as a test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.server: str | None = None
        self.filters = Filters()
        self.is_there = True
        self.listeners = 0
        self.asked: list[tuple[Incoming, str | None, float | None]] = []
        self.schemas: dict[str, dict[str, Any]] = {}
        self.learned: dict[str, dict[str, Any]] = {}
        self.handler: Handler = lambda request, _: Answer(
            json.dumps({"jsonrpc": "2.0", "id": request.id, "result": {}}).encode(), None
        )
        self.messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.claims: list[Any] = []
        self.closed = False

    async def handle(
        self,
        request: Incoming,
        *,
        caller: str | None = None,
        on_note: Note | None = None,
        timeout_s: float | None = None,
        claims: Any = None,
    ) -> Answer:
        self.asked.append((request, caller, timeout_s))
        self.claims.append(claims)
        self.started.set()
        assert on_note is not None
        try:
            answer = self.handler(request, on_note)
            return await answer if asyncio.iscoroutine(answer) else answer
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def listen(self, request: Incoming, *, caller: str | None = None) -> AsyncGenerator[bytes, None]:
        self.asked.append((request, caller, None))
        self.listeners += 1
        self.started.set()
        try:
            while (data := await self.messages.get()) is not None:
                yield data
        finally:
            self.listeners -= 1
            self.cancelled.set()

    async def learn(self) -> None:
        self.schemas.update(self.learned)

    def tool_schema(self, name: str) -> dict[str, Any] | None:
        return self.schemas.get(name)

    def close(self) -> None:
        self.closed = True
        self.messages.put_nowait(None)


@dataclass
class Reply:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        return self.json["error"]["code"]


class Client:
    """One exchange with an application, step by step."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.reply = Reply()
        self.sent = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def start(
        self,
        body: bytes | Iterable[bytes] | None = b"",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        path: str = "/mcp",
        query: str = "",
        method: str = "POST",
    ) -> Client:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
        if not any(name == b"host" for name, _ in encoded):
            encoded.append((b"host", b"127.0.0.1:8808"))
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "headers": encoded, "http_version": "1.1", "scheme": "http",
            "server": ("127.0.0.1", 8808), "client": ("127.0.0.1", 50000), "root_path": "",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }  # fmt: skip
        if body is not None:
            parts = [body] if isinstance(body, bytes) else list(body)
            for number, part in enumerate(parts, 1):
                self.feed(part, more=number < len(parts))
        self._task = asyncio.get_running_loop().create_task(self._app(scope, self._receive, self._send))
        return self

    def feed(self, part: bytes, *, more: bool) -> None:
        self._incoming.put_nowait({"type": "http.request", "body": part, "more_body": more})

    def disconnect(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def end(self) -> Reply:
        """Wait until the application is done with it."""
        assert self._task is not None
        async with asyncio.timeout(TIMEOUT_S):
            await self._task
        return self.reply

    async def until(self, text: bytes) -> Reply:
        """Wait until `text` has come."""
        async with asyncio.timeout(TIMEOUT_S):
            while text not in self.reply.body:
                self.sent.clear()
                await self.sent.wait()
        return self.reply

    async def _receive(self) -> dict[str, Any]:
        if self.reply.ended:
            return {"type": "http.disconnect"}
        return await self._incoming.get()

    async def _send(self, message: dict[str, Any]) -> None:
        await self.may_send.wait()
        if message["type"] == "http.response.start":
            self.reply.status = message["status"]
            self.reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.reply.body += message.get("body", b"")
            if not message.get("more_body", False):
                self.reply.ended = True
                self.disconnect()
        self.sent.set()


class World:
    """An application with a front double behind it."""

    def __init__(
        self,
        *,
        auth: Authenticator | None = None,
        legacy: Legacy | None = None,
        resources: Resources | None = None,
        guard: Guard | None = None,
        most: int = 100,
        per_caller: int = 10,
        subscriptions: int = 10,
        max_body: int = 10_000,
        body_timeout_s: float = 5.0,
        quiet_s: float = 5.0,
        timeout_s: float | None = None,
    ) -> None:
        self.front = FrontDouble()
        self.ready = True
        self.overseer = Overseer(body_timeout_s=body_timeout_s, quiet_s=quiet_s)
        self.doors = Doors(lambda server, filters: self._made(server, filters), Filters())  # type: ignore[arg-type,return-value]
        self.limits = Limits(most, per_caller, subscriptions)
        self.app = Gateway(
            guard=guard or Guard("127.0.0.1"),
            auth=auth,
            doors=self.doors,
            modern=Modern(self.overseer, self.limits, timeout_s),
            legacy=legacy,
            rare=build_rare(lambda: self.ready, resources),
            overseer=self.overseer,
            limits=self.limits,
            max_body=max_body,
        )

    def _made(self, server: str | None, filters: Filters) -> FrontDouble:
        self.front.server, self.front.filters = server, filters
        return self.front

    def start(self, *args: Any, **kwargs: Any) -> Client:
        return Client(self.app).start(*args, **kwargs)

    async def ask(self, *args: Any, **kwargs: Any) -> Reply:
        return await self.start(*args, **kwargs).end()

    async def close(self) -> None:
        await self.overseer.close(0.5)
