"""What a mesh tells about itself: tools, prompts, resources, servers, nodes, changes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from longreach.wire.mcp import Tool
from longreach.wire.prompts import Prompt, PromptArgument
from longreach.wire.resources import Resource, ResourceTemplate


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


class PromptInfo(msgspec.Struct, frozen=True):
    """A prompt that the mesh offers; see `ToolInfo`."""

    server: str
    prompt: Prompt
    versions: tuple[str, ...]
    regions: tuple[str, ...]
    digest: str

    @property
    def name(self) -> str:
        """The prompt's name, without its server."""
        return self.prompt.name

    @property
    def qualified(self) -> str:
        """``server.prompt``, which is what `Mesh.get_prompt` takes."""
        return f"{self.server}.{self.prompt.name}"

    @property
    def title(self) -> str | None:
        """The title, for people."""
        return self.prompt.title or None

    @property
    def description(self) -> str | None:
        """What the prompt is for."""
        return self.prompt.description or None

    @property
    def arguments(self) -> list[PromptArgument]:
        """What it can be filled in with."""
        return self.prompt.arguments or []


class ResourceInfo(msgspec.Struct, frozen=True):
    """A resource that the mesh offers; see `ToolInfo`. `Mesh.read` takes its server and URI."""

    server: str
    resource: Resource
    versions: tuple[str, ...]
    regions: tuple[str, ...]
    digest: str

    @property
    def uri(self) -> str:
        """Its URI, which is its server's own."""
        return self.resource.uri

    @property
    def name(self) -> str:
        """Its name, for people and programs."""
        return self.resource.name

    @property
    def title(self) -> str | None:
        """The title, for people."""
        return self.resource.title or None

    @property
    def description(self) -> str | None:
        """What it holds."""
        return self.resource.description or None

    @property
    def mime_type(self) -> str | None:
        """The kind of its contents, if they are of one."""
        return self.resource.mime_type or None


class TemplateInfo(msgspec.Struct, frozen=True):
    """Resources whose URIs follow a template (RFC 6570); see `ToolInfo`."""

    server: str
    template: ResourceTemplate
    versions: tuple[str, ...]
    regions: tuple[str, ...]
    digest: str

    @property
    def uri_template(self) -> str:
        """The template."""
        return self.template.uri_template

    @property
    def name(self) -> str:
        """Its name, for people and programs."""
        return self.template.name

    @property
    def title(self) -> str | None:
        """The title, for people."""
        return self.template.title or None

    @property
    def description(self) -> str | None:
        """What such a resource holds."""
        return self.template.description or None

    @property
    def mime_type(self) -> str | None:
        """The kind of the contents, if they are all of one."""
        return self.template.mime_type or None


class ServerInfo(msgspec.Struct, frozen=True):
    """A server, over all its instances: how many different tools and so on its live versions have.

    `instructions` are those of the newest version that has any; `tags` those of all.
    """

    name: str
    title: str | None
    versions: tuple[str, ...]
    regions: tuple[str, ...]
    instances: int
    tools: int
    prompts: int = 0
    resources: int = 0
    templates: int = 0
    instructions: str | None = None
    tags: tuple[str, ...] = ()


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

    kind: Literal["node_up", "node_down", "server_changed", "resync"]
    server: str | None
    node: str | None
    region: str | None
    revision: int


class Update(msgspec.Struct, frozen=True):
    """What `Mesh.listen` tells.

    `kind` is the list of `server` that has changed (``"tools"``, ``"prompts"``, ``"resources"``, templates
    included), or ``"resource"``: what `uri` holds has, or may have while the connection was lost.
    ``"resync"`` says that updates came faster than they were read: look at everything again.
    """

    kind: Literal["tools", "prompts", "resources", "resource", "resync"]
    server: str | None = None
    uri: str | None = None
