"""Which era the handlers of a mounted FastMCP server believe their client to speak.

The mesh speaks one era; a gateway says in `_meta` where a request comes from a legacy client. FastMCP lets
a handler ask in the middle of a call for such a client only, so it is shown that client's era. Servers of
the official SDK need no such thing: they ask whoever can be asked.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from longreach_bridge._sdk import is_fastmcp

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.lowlevel import Server as LowLevel

ERA_KEY = "longreach/era"
"""In `_meta` of a request: the version that its client, a legacy one, has agreed on with its gateway."""

shown_era: ContextVar[str | None] = ContextVar("longreach_bridge_era", default=None)


def show_era(low: LowLevel[Any]) -> None:
    """Let the handlers of a FastMCP server see the era of the client, and not that of the mesh."""
    if is_fastmcp(low):
        low.middleware.append(_show)


async def _show(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    version = shown_era.get()
    return await call_next(replace(ctx, protocol_version=version) if isinstance(version, str) else ctx)
