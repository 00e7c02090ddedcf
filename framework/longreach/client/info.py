"""What a mesh tells about itself: tools, servers, nodes, changes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from longreach.wire.mcp import Tool


class ToolInfo(msgspec.Struct, frozen=True):
    """A tool that the mesh offers.

    Attributes:
        server: the server's name.
        tool: its definition, as MCP has it.
        versions: the versions of the server that offer it in this very form.
        regions: the regions where it is offered.
        digest: names the definition's bytes.
    """

    server: str
    tool: Tool
    versions: tuple[str, ...]
    regions: tuple[str, ...]
    digest: str

    @property
    def name(self) -> str:
        """The tool's name, without its server."""
        return self.tool.name

    @property
    def qualified(self) -> str:
        """``server.tool``, which is what `Mesh.call` takes."""
        return f"{self.server}.{self.tool.name}"

    @property
    def title(self) -> str | None:
        """The title, for people."""
        return self.tool.title or None

    @property
    def description(self) -> str | None:
        """What the tool does."""
        return self.tool.description or None

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        schema: dict[str, Any] = msgspec.to_builtins(self.tool.input_schema)
        return schema

    @property
    def output_schema(self) -> dict[str, Any] | None:
        """The JSON Schema of its structured result."""
        return msgspec.to_builtins(self.tool.output_schema) if self.tool.output_schema else None

    @property
    def annotations(self) -> dict[str, Any]:
        """The hints about what it does, under MCP's names."""
        return msgspec.to_builtins(self.tool.annotations) if self.tool.annotations else {}


class ServerInfo(msgspec.Struct, frozen=True):
    """A server, over all its instances."""

    name: str
    title: str | None
    versions: tuple[str, ...]
    regions: tuple[str, ...]
    instances: int
    tools: int


class NodeInfo(msgspec.Struct, frozen=True):
    """A node, as it announced itself; `skew_ms` is how far its clock is ahead of ours."""

    identity: str
    instance: str
    region: str
    labels: dict[str, str]
    servers: tuple[str, ...]
    heard_s_ago: float
    skew_ms: int

    @property
    def name(self) -> str:
        """``identity.instance``."""
        return f"{self.identity}.{self.instance}"


class Change(msgspec.Struct, frozen=True):
    """Something that changed in the mesh; `revision` grows with each.

    `kind` is ``"resync"`` where changes came faster than they were read: look at everything again.
    """

    kind: Literal["node_up", "node_down", "tools_changed", "resync"]
    server: str | None
    node: str | None
    region: str | None
    revision: int
