"""`chaos`, whose tools come and go: `longreach run tests.support.soak_node:chaos`."""

from __future__ import annotations

from tests.support.chaos_node import chaos

__all__ = ["chaos"]
MAX_EXTRA = 8


async def extra(text: str = "") -> str:
    """Comes and goes."""
    return text


@chaos.tool(idempotent=True)
async def toggle(number: int) -> bool:
    """Add a tool, or remove it; whether it is there now."""
    name = f"extra_{number % MAX_EXTRA}"
    if name in chaos.tools:
        chaos.remove_tool(name)
        return False
    chaos.add_tool(extra, name=name)
    return True


@chaos.tool(idempotent=True)
async def clear() -> int:
    """Remove all that was added; how many."""
    names = [name for name in chaos.tools if name.startswith("extra_")]
    for name in names:
        chaos.remove_tool(name)
    return len(names)
