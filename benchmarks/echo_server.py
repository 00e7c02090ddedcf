"""The server that is measured when `longreach run` starts it."""

from __future__ import annotations

from longreach import Server

server = Server("bench")


@server.tool(read_only=True)
async def echo(text: str) -> str:
    """Say the same."""
    return text
