"""`longreach run` of servers that were written for the official SDK or for FastMCP.

The entry point of the group `longreach.adapters`: given any object, it makes a `Server` of it, or says that
it is none of its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from longreach.actor.server import Server
from longreach_bridge._sdk import lowlevel_of
from longreach_bridge.eras import show_era
from longreach_bridge.mounted import Mounted
from longreach_bridge.naming import server_name
from longreach_bridge.sealing import share_request_state

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server as LowLevel

_UNSTATED = "0.0.0"


def adapt(obj: object) -> Server | None:
    """A server that hosts `obj` as it is, in this process; None: `obj` is no server of the SDK or FastMCP.

    Its name is the object's, with ``-`` for what a name may not hold.
    """
    low = lowlevel_of(obj)
    if low is None:
        return None
    mounted = Mounted(low, obj)
    show_era(low)
    share_request_state(low)
    return Server(
        server_name(low.name),
        version=low.version or _UNSTATED,
        title=low.title,
        instructions=low.instructions,
        lifespan=mounted.lifespan,
        **_caching(low),
    )


def _caching(low: LowLevel[Any]) -> dict[str, Any]:
    """How long its listings may be kept, where it says so."""
    hint = low.cache_hints.get("tools/list")
    return {} if hint is None else {"list_ttl_s": hint.ttl_ms / 1000, "cache_scope": hint.scope}
