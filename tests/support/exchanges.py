"""HTTP exchanges with an ASGI application, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from longreach_gateway.answers import Refusal, send_refusal

App = Callable[..., Awaitable[None]]
JSON_HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


class Exchanged:
    """One exchange under way."""

    def __init__(
        self, app: App, method: str, headers: dict[str, str], body: bytes | None, **about: Any
    ) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.free = asyncio.Event()
        self.free.set()
        self._changed = asyncio.Event()
        self._gone = asyncio.Event()
        self.ended = False
        scope = {
            "type": "http", "method": method, "path": "/mcp", "query_string": b"", "root_path": "",
            "raw_path": b"/mcp", "scheme": "http", "http_version": "1.1",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "headers": [(key.lower().encode(), value.encode()) for key, value in headers.items()],
            "client": None, "server": None,
        }  # fmt: skip
        self.task = asyncio.get_running_loop().create_task(self._run(app, scope, body, about))

    async def _run(self, app: App, scope: Any, body: bytes | None, about: dict[str, Any]) -> None:
        try:
            await app(
                scope, self._receive, self._send, body=body, **{"server": None, "caller": None, **about}
            )
        except Refusal as refusal:
            await send_refusal(self._send, refusal)

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.free.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {key.decode().lower(): value.decode() for key, value in message["headers"]}
        else:
            self.body += bytes(message.get("body", b""))
            self.ended = not message.get("more_body", False)
        self._changed.set()

    def leave(self) -> None:
        """The client closes the connection."""
        self._gone.set()

    async def until(self, condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def done(self, timeout_s: float = 30.0) -> Exchanged:
        async with asyncio.timeout(timeout_s):
            await self.task
        return self

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON of all events so far."""
        found = []
        for block in self.body.decode().replace("\r\n", "\n").split("\n\n"):
            lines = [line.removeprefix("data: ") for line in block.split("\n") if line.startswith("data: ")]
            if lines and lines[0]:
                found.append(json.loads("\n".join(lines)))
        return found

    @property
    def ids(self) -> list[str]:
        """The ids of all events so far."""
        lines = self.body.decode().replace("\r\n", "\n").split("\n")
        return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class LegacyHttp:
    """A legacy client over HTTP, down to its exchanges."""

    def __init__(self, app: App, *, version: str = "2025-11-25", **about: Any) -> None:
        self.app = app
        self.version = version
        self.about = about
        self.session: str | None = None
        self._next_id = 0

    def _headers(self, **more: str) -> dict[str, str]:
        headers = {**JSON_HEADERS, **more}
        if self.session is not None:
            headers |= {"mcp-session-id": self.session, "mcp-protocol-version": self.version}
        return headers

    def post(self, message: dict[str, Any] | bytes) -> Exchanged:
        body = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        return Exchanged(self.app, "POST", self._headers(), body, **self.about)

    def request(self, method: str, params: dict[str, Any] | None = None) -> Exchanged:
        self._next_id += 1
        return self.post({"id": self._next_id, "method": method, "params": params or {}})

    def get(self, **more: str) -> Exchanged:
        return Exchanged(self.app, "GET", self._headers(**more), None, **self.about)

    def delete(self) -> Exchanged:
        return Exchanged(self.app, "DELETE", self._headers(), None, **self.about)

    async def initialize(self, capabilities: dict[str, Any] | None = None) -> dict[str, Any]:
        began = await self.request(
            "initialize",
            {
                "protocolVersion": self.version,
                "capabilities": capabilities or {},
                "clientInfo": {"name": "tests", "version": "1"},
            },
        ).done()
        assert began.status == 200, began.body
        self.session = began.headers["mcp-session-id"]
        noted = await self.post({"method": "notifications/initialized"}).done()
        assert noted.status == 202
        return began.events[-1]["result"]

    async def result(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        answered = await self.request(method, params).done()
        assert answered.status == 200, answered.body
        return answered.events[-1]["result"]
