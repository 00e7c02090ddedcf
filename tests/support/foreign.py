"""Servers of other frameworks as processes: ``python -m tests.support.foreign stdio|legacy|fastmcp`` on
pipes, or ``http|http-legacy PORT`` at a URL.

The legacy ones refuse what the modern era asks, as servers of before do.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN = "hunter2-hunter2"


class User(BaseModel):
    name: str


def official() -> MCPServer:
    app = MCPServer("Foreign docs", version="2.1.0", instructions="use it", log_level="ERROR")

    @app.tool()
    async def add(a: int, b: int) -> int:
        """Adds two."""
        return a + b

    @app.tool()
    async def pid() -> int:
        """The process."""
        return os.getpid()

    @app.tool()
    async def secret() -> str:
        """What the environment holds."""
        return f"{os.environ.get('FOREIGN_KEY')} {os.environ.get('LONGREACH_TOKEN')}"

    @app.tool()
    async def slow(seconds: float, ctx: Context, mark: str = "") -> str:
        """Takes its time, after it has left a mark."""
        if mark:
            _ = await anyio.Path(mark).write_text("ran\n")
        await ctx.report_progress(1, 2, "half")
        await asyncio.sleep(seconds)
        return "done"

    @app.tool()
    async def greet(ctx: Context) -> str:
        """Asks who is there."""
        answer = await ctx.elicit("Who are you?", User)
        return f"{answer.action} {answer.data.name if answer.action == 'accept' else ''}"

    @app.tool()
    async def grow(ctx: Context) -> str:
        """Adds a tool."""
        app.add_tool(add, name="added")
        await ctx.notify_tools_changed()
        await ctx.session.send_tool_list_changed()
        return "grown"

    @app.resource("note://today")
    def today() -> str:
        return "milk"

    @app.prompt()
    def hello(name: str) -> str:
        return f"hello {name}"

    return app


async def _legacy() -> None:
    """A server that knows of no era but its own."""
    app = official()
    low = app._lowlevel_server
    async with low.lifespan(low) as state, stdio_server() as (read, write):
        await serve_loop(low, read, write, lifespan_state=state)


def fast() -> Any:
    from fastmcp import FastMCP

    app = FastMCP("fast", version="1.0.0")

    @app.tool
    async def add(a: int, b: int) -> int:
        """Adds two."""
        return a + b

    return app


def guarded(app: ASGIApp) -> ASGIApp:
    """Ask for a token, if there is one in the environment."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {key.lower(): value for key, value in scope.get("headers", [])}
        token = os.environ.get("FOREIGN_TOKEN")
        if scope["type"] == "http" and token and headers.get(b"authorization") != f"Bearer {token}".encode():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})
            return
        await app(scope, receive, send)

    return door


def _of_before(app: ASGIApp) -> ASGIApp:
    """Know nothing of the modern era: what names its version gets 400."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {key.lower(): value for key, value in scope.get("headers", [])}
        if headers.get(b"mcp-protocol-version") == b"2026-07-28":
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"Bad Request: Unsupported protocol version"})
            return
        await app(scope, receive, send)

    return door


def main(kind: str, *words: str) -> None:
    print(f"foreign {kind} is starting", file=sys.stderr, flush=True)
    match kind:
        case "stdio":
            official().run()
        case "legacy":
            anyio.run(_legacy)
        case "fastmcp":
            fast().run(show_banner=False)
        case "http" | "http-legacy":
            app = guarded(official().streamable_http_app())
            served = app if kind == "http" else _of_before(app)
            uvicorn.run(served, host="127.0.0.1", port=int(words[0]), log_level="error")
        case _:
            raise SystemExit(f"there is no {kind}")


if __name__ == "__main__":
    main(*sys.argv[1:])
