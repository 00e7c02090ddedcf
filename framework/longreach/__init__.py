"""longreach: MCP tools as supervised actors on NATS.

Declare with `Server`, run with `Node` (or `longreach run`), call with `connect`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longreach import sync
    from longreach.actor.asks import Elicit, Elicited, ElicitUrl, InputRequired, Roots, Sample
    from longreach.actor.authorizing import AuthRequest
    from longreach.actor.context import Context, current_context
    from longreach.actor.prompts import Message
    from longreach.actor.results import Audio, Image
    from longreach.actor.rounds import Suspended
    from longreach.actor.server import Actor, Server, prompt, resource, tool
    from longreach.client.connect import connect
    from longreach.client.mesh import Mesh
    from longreach.client.results import CallResult, PromptResult, ReadResult
    from longreach.errors import (
        Crash,
        InputNeeded,
        LongreachError,
        ProtocolError,
        ResourceNotFound,
        ToolError,
    )
    from longreach.node.node import Node
    from longreach.node.settings import NodeSettings
    from longreach.policy.limits import Limits
    from longreach.transport.options import NatsOptions

__version__ = "0.1.0"

_HOMES = {
    "Actor": "longreach.actor.server",
    "AuthRequest": "longreach.actor.authorizing",
    "Audio": "longreach.actor.results",
    "CallResult": "longreach.client.results",
    "Context": "longreach.actor.context",
    "Crash": "longreach.errors",
    "Elicit": "longreach.actor.asks",
    "ElicitUrl": "longreach.actor.asks",
    "Elicited": "longreach.actor.asks",
    "Image": "longreach.actor.results",
    "InputNeeded": "longreach.errors",
    "InputRequired": "longreach.actor.asks",
    "Limits": "longreach.policy.limits",
    "LongreachError": "longreach.errors",
    "Mesh": "longreach.client.mesh",
    "Message": "longreach.actor.prompts",
    "NatsOptions": "longreach.transport.options",
    "Node": "longreach.node.node",
    "NodeSettings": "longreach.node.settings",
    "Roots": "longreach.actor.asks",
    "Sample": "longreach.actor.asks",
    "PromptResult": "longreach.client.results",
    "ProtocolError": "longreach.errors",
    "ReadResult": "longreach.client.results",
    "ResourceNotFound": "longreach.errors",
    "Server": "longreach.actor.server",
    "Suspended": "longreach.actor.rounds",
    "ToolError": "longreach.errors",
    "connect": "longreach.client.connect",
    "current_context": "longreach.actor.context",
    "prompt": "longreach.actor.server",
    "resource": "longreach.actor.server",
    "tool": "longreach.actor.server",
}

__all__ = [
    "Actor",
    "Audio",
    "AuthRequest",
    "CallResult",
    "Context",
    "Crash",
    "Elicit",
    "ElicitUrl",
    "Elicited",
    "Image",
    "InputNeeded",
    "InputRequired",
    "Limits",
    "LongreachError",
    "Mesh",
    "Message",
    "NatsOptions",
    "Node",
    "NodeSettings",
    "PromptResult",
    "ProtocolError",
    "ReadResult",
    "ResourceNotFound",
    "Roots",
    "Sample",
    "Server",
    "Suspended",
    "ToolError",
    "connect",
    "current_context",
    "prompt",
    "resource",
    "sync",
    "tool",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is asked for: a server module needs no client, and the reverse."""
    if name == "sync":
        return importlib.import_module("longreach.sync")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'longreach' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
