"""MCP 2026-07-28's messages for resources. Source: MCP 2026-07-28 schema."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from longreach.wire.mcp import Annotations, CacheScope, Icon, ResourceContents


class Resource(msgspec.Struct, rename="camel", omit_defaults=True):
    """A resource that can be read by its URI; `size` in bytes."""

    uri: str
    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    mime_type: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(name="_meta", default=UNSET)


class ResourceTemplate(msgspec.Struct, rename="camel", omit_defaults=True):
    """Resources whose URIs follow a template."""

    uri_template: str
    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    mime_type: str | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(name="_meta", default=UNSET)


class ReadResourceResult(msgspec.Struct, rename="camel"):
    """What a resource holds; `ttl_ms` says how long it may be kept."""

    contents: list[ResourceContents]
    ttl_ms: int
    cache_scope: CacheScope
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = "complete"


class ListResourcesResult(msgspec.Struct, rename="camel"):
    """A page of resources."""

    resources: list[Resource]
    ttl_ms: int
    cache_scope: CacheScope
    next_cursor: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = "complete"


class ListResourceTemplatesResult(msgspec.Struct, rename="camel"):
    """A page of templates."""

    resource_templates: list[ResourceTemplate]
    ttl_ms: int
    cache_scope: CacheScope
    next_cursor: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = "complete"
