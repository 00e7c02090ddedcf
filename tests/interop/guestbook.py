"""The server that all official clients visit: `longreach run tests.interop.guestbook:app`, on one node."""

from __future__ import annotations

import asyncio
import secrets

from longreach import Context, Server

NOTE = "note://today"

app = Server("guestbook", version="1.0.0")
_waiting: set[str] = set()
_cancelled: set[str] = set()


@app.tool
async def count(upto: int, ctx: Context) -> str:
    """Count, and report each number."""
    for number in range(1, upto + 1):
        await ctx.report_progress(number, upto)
    return f"counted to {upto}"


@app.tool
async def wait(key: str) -> str:
    """Wait for a minute, or until cancelled."""
    _waiting.add(key)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        _cancelled.add(key)
        raise
    finally:
        _waiting.discard(key)
    return "nobody cancelled it"


@app.tool
async def state_of(key: str) -> str:
    """What became of a `wait`."""
    if key in _cancelled:
        return "cancelled"
    return "waiting" if key in _waiting else "unknown"


@app.tool
async def greet(ctx: Context) -> str:
    """Ask for a name, and greet."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    answer = await ctx.elicit("Who are you?", schema)
    return f"Hello, {answer.content['name']}!" if answer.action == "accept" else "Hello, whoever you are!"


@app.tool
async def change(ctx: Context) -> str:
    """Change the note, and the list of tools: the newest goes, another comes. Says on which node."""
    for name in [name for name in app.tools if name.startswith("new_")]:
        app.remove_tool(name)
    app.add_tool(state_of, name=f"new_{secrets.token_hex(4)}")
    ctx.resource_updated(NOTE)
    return ctx.node


@app.resource(NOTE, mime_type="text/plain")
async def note() -> str:
    """What to do today."""
    return "Buy milk."
