"""Servers of other frameworks, and a mesh in memory around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
from tests.support.hosts import node

from longreach import Mesh, Server, connect
from longreach.transport.memory import MemoryBroker
from longreach_bridge.foreign.channel import Arrived, Lost, Outgoing


class Meshed:
    """A broker in memory, nodes on it, and callers."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.broker = MemoryBroker()
        self._stack = stack

    async def host(self, *servers: Server, **settings: Any) -> Any:
        return await self._stack.enter_async_context(node(self.broker, *servers, **settings))

    async def caller(self, **options: Any) -> Mesh:
        return await self._stack.enter_async_context(connect(link=self.broker.link(), **options))


@asynccontextmanager
async def meshed() -> AsyncIterator[Meshed]:
    async with AsyncExitStack() as stack:
        yield Meshed(stack)


async def listed(mesh: Mesh, server: str, kind: str) -> list[dict[str, Any]]:
    """The definitions of a kind as the node lists them, whole."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": f"{kind}/list", "params": {"_meta": meta}}
    answer = await mesh.forward(server, msgspec.json.encode(body), method=f"{kind}/list", name=None)
    found: list[dict[str, Any]] = msgspec.json.decode(answer)["result"][kind]
    return found


class ScriptedServer:
    """A foreign server as a channel: it answers by methods that tests give it.

    Each method's function is given the request's params, and returns a result, or an `ErrorReply`, or None
    where the test answers by itself.
    """

    knows_origin = False
    mirrors_headers = False

    def __init__(self, methods: dict[str, Callable[[dict[str, Any]], Any]]) -> None:
        self.methods = methods
        self.heard: list[dict[str, Any]] = []
        self.answers: dict[Any, dict[str, Any]] = {}
        self.opened = 0
        self.closed = 0
        self.lost: Lost | None = None
        self.refuses: Lost | None = None
        self._out: asyncio.Queue[Arrived | None] = asyncio.Queue()
        self._heard = asyncio.Condition()

    async def open(self) -> None:
        self.opened += 1
        if self.refuses is not None:
            raise self.refuses

    async def send(self, message: Outgoing) -> None:
        if self.lost is not None:
            raise Lost(str(self.lost))
        body = msgspec.json.decode(message.data)
        self.heard.append(body)
        async with self._heard:
            self._heard.notify_all()
        if "method" not in body:
            self.answers[body["id"]] = body
        elif "id" in body:
            method = self.methods.get(body["method"])
            if method is None:
                self.fail(body["id"], -32601, "Method not found")
                return
            result = method(body.get("params", {}))
            if isinstance(result, ErrorReply):
                self.fail(body["id"], result.code, result.message, result.data)
            elif result is not None:
                self.say({"id": body["id"], "result": result})

    async def receive(self) -> Arrived:
        arrived = await self._out.get()
        if arrived is None:
            assert self.lost is not None
            raise self.lost
        return arrived

    async def close(self) -> None:
        self.closed += 1

    # What tests do

    def say(self, body: dict[str, Any], origin: Any = None) -> None:
        self.say_raw(msgspec.json.encode({"jsonrpc": "2.0", **body}), origin)

    def say_raw(self, data: bytes, origin: Any = None) -> None:
        self._out.put_nowait(Arrived(data, origin))

    def fail(self, request_id: Any, code: int, message: str, data: Any = None) -> None:
        self.say({"id": request_id, "error": {"code": code, "message": message, "data": data}})

    def die(self, why: str = "it was killed") -> None:
        self.lost = Lost(why, sent=True)
        self._out.put_nowait(None)

    async def hears(self, method: str, times: int = 1) -> dict[str, Any]:
        """Wait for a request or notification; the last one."""
        async with asyncio.timeout(30), self._heard:
            await self._heard.wait_for(lambda: len(self.of(method)) >= times)
        return self.of(method)[-1]

    async def answered(self, request_id: Any) -> dict[str, Any]:
        """Wait for the answer to what was asked."""
        async with asyncio.timeout(30), self._heard:
            await self._heard.wait_for(lambda: request_id in self.answers)
        return self.answers[request_id]

    def of(self, method: str) -> list[dict[str, Any]]:
        return [body for body in self.heard if body.get("method") == method]


class ErrorReply:
    def __init__(self, code: int, message: str = "no", data: Any = None) -> None:
        self.code = code
        self.message = message
        self.data = data


def legacy_methods(**more: Callable[[dict[str, Any]], Any]) -> dict[str, Callable[[dict[str, Any]], Any]]:
    """A server of 2025-11-25 with the tools `echo`, which answers, and `wait`, which the test answers."""
    tools = [
        {
            "name": "echo",
            "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": True},
            "odd": [1],
        },
        {"name": "wait", "inputSchema": {"type": "object"}},
    ]
    initialized = {
        "protocolVersion": "2025-11-25",
        "capabilities": {
            "tools": {"listChanged": True},
            "resources": {"subscribe": True},
            "prompts": {},
            "completions": {},
            "logging": {},
        },
        "serverInfo": {"name": "Old One", "version": "3.1.0", "title": "The old one"},
        "instructions": "be kind",
    }

    def call(params: dict[str, Any]) -> Any:
        if params["name"] == "echo":
            return {"content": [{"type": "text", "text": str(params.get("arguments", {}).get("text"))}]}
        return None

    return {
        "initialize": lambda _: initialized,
        "tools/list": lambda _: {"tools": tools},
        "prompts/list": lambda _: {"prompts": [{"name": "greet"}]},
        "resources/list": lambda _: {"resources": [{"uri": "note://a", "name": "a"}]},
        "resources/templates/list": lambda _: ErrorReply(-32601),
        "resources/read": lambda params: {"contents": [{"uri": params["uri"], "text": "milk"}]},
        "resources/subscribe": lambda _: {},
        "resources/unsubscribe": lambda _: {},
        "prompts/get": lambda _: {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]},
        "completion/complete": lambda _: {"completion": {"values": ["one"]}},
        "logging/setLevel": lambda _: {},
        "tools/call": call,
        **{name.replace("__", "/"): method for name, method in more.items()},
    }


def modern_methods(**more: Callable[[dict[str, Any]], Any]) -> dict[str, Callable[[dict[str, Any]], Any]]:
    """A server of 2026-07-28, likewise."""
    old = legacy_methods()
    discovered = {
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {
            "tools": {"listChanged": True},
            "resources": {"subscribe": True, "listChanged": True},
        },
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "1.0.0"}},
    }

    def complete(method: str) -> Callable[[dict[str, Any]], Any]:
        def answer(params: dict[str, Any]) -> Any:
            result = old[method](params)
            return {**result, "resultType": "complete"} if isinstance(result, dict) else result

        return answer

    kinds = ("tools/list", "resources/list", "resources/templates/list", "resources/read", "tools/call")
    return {
        "server/discover": lambda _: discovered,
        "subscriptions/listen": lambda _: None,
        **{method: complete(method) for method in kinds},
        **{name.replace("__", "/"): method for name, method in more.items()},
    }
