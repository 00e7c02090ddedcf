"""What is known of a tool once it is declared."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, Protocol

from longreach.wire.mcp import Tool
from longreach.wire.schema import HandlerSchema

TOOL_ATTRIBUTE = "__longreach_tool__"
"""Where a decorated function keeps its `ToolSpec`."""

Kind = Literal["async", "thread", "process"]
DEFAULT_CONCURRENCY: dict[Kind, int] = {"async": 100, "thread": 16, "process": os.cpu_count() or 1}
DEFAULT_MAILBOX = 256


class Named(Protocol):
    """A server, as far as its tools know it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def version(self) -> str:
        """Its version."""
        ...


class ToolSpec:
    """A declared tool.

    Attributes:
        name: the tool's name.
        definition: what MCP says of it.
        schema: from JSON arguments to Python ones, and back.
        function: the handler; for an actor's method the plain function.
        kind: where it runs.
        concurrency: how many calls run at once.
        mailbox: how many calls may wait.
        timeout_s: how long one call may take; None: as long as its caller waits.
        keep_running: a caller that falls silent does not cancel it.
    """

    def __init__(
        self,
        owner: Named,
        name: str,
        definition: Tool,
        schema: HandlerSchema,
        function: Callable[..., Any],
        kind: Kind,
        *,
        concurrency: int,
        mailbox: int,
        timeout_s: float | None,
        keep_running: bool,
    ) -> None:
        self._owner = owner
        self.name = name
        self.definition = definition
        self.schema = schema
        self.function = function
        self.kind = kind
        self.concurrency = concurrency
        self.mailbox = mailbox
        self.timeout_s = timeout_s
        self.keep_running = keep_running

    @property
    def server(self) -> str:
        """The name of the server that it belongs to."""
        return self._owner.name

    @property
    def version(self) -> str:
        """The version of that server."""
        return self._owner.version

    def __repr__(self) -> str:
        return f"<tool {self.server}.{self.name}>"
