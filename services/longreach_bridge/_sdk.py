"""What the bridge uses of the official SDK and of FastMCP without their promise (docs/adr/0010).

Everything private is here and in no other module; `tests/unit/services/bridge/test_sdk_pins.py` fails when it
is gone or has changed.
"""

from __future__ import annotations

from typing import Any

from mcp.server.lowlevel import Server as LowLevel
from mcp.server.mcpserver import MCPServer
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import ListenHandler, SubscriptionBus

LISTEN = "subscriptions/listen"


def lowlevel_of(obj: object) -> LowLevel[Any] | None:
    """The low-level server of an `MCPServer`, of FastMCP, or of a low-level one; None: it is none of them."""
    if isinstance(obj, LowLevel):
        return obj
    if isinstance(obj, MCPServer):
        found: object = obj._lowlevel_server
    else:  # FastMCP is known by its handle, so that it need not be installed
        found = vars(obj).get("_mcp_server") if hasattr(obj, "__dict__") else None
    return found if isinstance(found, LowLevel) else None


def bus_of(low: LowLevel[Any]) -> SubscriptionBus | None:
    """Where its changes are published; None: it does not serve `subscriptions/listen`, or in its own way."""
    entry = low.get_request_handler(LISTEN)
    handler = entry.handler if entry is not None else None
    return handler._bus if isinstance(handler, ListenHandler) else None


def state_policies(low: LowLevel[Any]) -> list[RequestStateSecurity]:
    """How the server seals what it gives away as requestState; the policies may be changed."""
    return [each._security for each in low.middleware if isinstance(each, RequestStateBoundary)]


def is_fastmcp(low: LowLevel[Any]) -> bool:
    """Whether the low-level server is FastMCP's."""
    return any(cls.__module__.partition(".")[0] == "fastmcp" for cls in type(low).__mro__)
