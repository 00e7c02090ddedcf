"""What is served in these tests: one server with something of everything. Also run as `serving:docs`."""

from __future__ import annotations

import asyncio

from longreach import Context, Server


def new_docs() -> Server:
    docs = Server("docs", version="1.0.0")

    @docs.tool(read_only=True)
    async def echo(text: str, ident: str = "") -> str:
        """Echo."""
        return text + ident

    @docs.tool
    async def slow(seconds: float, ctx: Context = Context.injected) -> str:
        """Takes its time, and says so."""
        for step in range(4):
            await asyncio.sleep(seconds / 4)
            await ctx.report_progress(step + 1, 4)
        return f"{ctx.via}.{ctx.caller}"

    @docs.prompt(complete={"language": lambda value: [value + "!"]})
    async def greet(language: str) -> str:
        return f"hello in {language}"

    @docs.resource("docs://one")
    async def one(ctx: Context) -> str:
        return f"read by {ctx.caller}"

    return docs


docs = new_docs()
