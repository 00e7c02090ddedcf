"""MCP 2026-07-28's messages for tools and discovery.

Optional members are left out when they are not set. Source: MCP 2026-07-28 schema.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from longreach.wire.jsonrpc import RequestId, encode_notification

Role = Literal["user", "assistant"]
CacheScope = Literal["public", "private"]
"""Whether a cached result may be shared between callers."""
LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
LOG_LEVELS: tuple[LogLevel, ...] = (
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
)  # fmt: skip
TIMEOUT_KEY = "longreach/timeoutMs"
"""In a tool's `_meta`: how long a call of it may take by itself, in ms."""
TAGS_KEY = "longreach/tags"
"""In a definition's `_meta`: what it is sorted by, a list of words."""
SERVER_INFO_KEY = "io.modelcontextprotocol/serverInfo"


class Annotations(msgspec.Struct, rename="camel", omit_defaults=True):
    """For whom a piece of content is, and how much it matters (0 to 1)."""

    audience: list[Role] | UnsetType = UNSET
    priority: float | UnsetType = UNSET
    last_modified: str | UnsetType = UNSET


class Icon(msgspec.Struct, rename="camel", omit_defaults=True):
    """An icon: a URL, or a data URL."""

    src: str
    mime_type: str | UnsetType = UNSET
    sizes: list[str] | UnsetType = UNSET
    theme: Literal["light", "dark"] | UnsetType = UNSET


class TextContent(msgspec.Struct, tag="text", tag_field="type", omit_defaults=True):
    """Text."""

    text: str
    annotations: Annotations | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)


class ImageContent(msgspec.Struct, tag="image", tag_field="type", rename="camel", omit_defaults=True):
    """An image, base64."""

    data: str
    mime_type: str
    annotations: Annotations | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)


class AudioContent(msgspec.Struct, tag="audio", tag_field="type", rename="camel", omit_defaults=True):
    """A sound, base64."""

    data: str
    mime_type: str
    annotations: Annotations | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)


class ResourceLink(msgspec.Struct, tag="resource_link", tag_field="type", rename="camel", omit_defaults=True):
    """A resource that can be read by its URI; `size` in bytes."""

    uri: str
    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    mime_type: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)


class ResourceContents(msgspec.Struct, rename="camel", omit_defaults=True):
    """What a resource holds: `text`, or `blob` in base64.

    Raises:
        ValueError: it has both, or neither.
    """

    uri: str
    mime_type: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    blob: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)

    def __post_init__(self) -> None:
        if (self.text is UNSET) == (self.blob is UNSET):
            raise ValueError("a resource's contents are either text or blob")


class EmbeddedResource(msgspec.Struct, tag="resource", tag_field="type", omit_defaults=True):
    """A resource, contents and all."""

    resource: ResourceContents
    annotations: Annotations | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)


ContentBlock = TextContent | ImageContent | AudioContent | ResourceLink | EmbeddedResource


class ToolAnnotations(msgspec.Struct, rename="camel", omit_defaults=True):
    """Hints of a tool about itself; what is not stated is not sent."""

    title: str | UnsetType = UNSET
    read_only_hint: bool | UnsetType = UNSET
    destructive_hint: bool | UnsetType = UNSET
    idempotent_hint: bool | UnsetType = UNSET
    open_world_hint: bool | UnsetType = UNSET


class Tool(msgspec.Struct, rename="camel", omit_defaults=True):
    """A tool's definition; the schemas are JSON Schema 2020-12."""

    name: str
    input_schema: dict[str, Any]
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    output_schema: dict[str, Any] | UnsetType = UNSET
    annotations: ToolAnnotations | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(name="_meta", default=UNSET)


class CallToolResult(msgspec.Struct, rename="camel", omit_defaults=True):
    """What a call gives back.

    `structured_content` is JSON bytes; it is what `content` says, for programs.
    """

    content: list[ContentBlock]
    structured_content: Raw | UnsetType = UNSET
    is_error: bool = False
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = msgspec.field(default_factory=partial(str, "complete"))
    # A factory, because `omit_defaults` would leave a constant default out, and MCP requires the member.


class ListToolsResult(msgspec.Struct, rename="camel"):
    """A page of tools; `ttl_ms` says how long it may be kept."""

    tools: list[Tool]
    ttl_ms: int
    cache_scope: CacheScope
    next_cursor: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = "complete"


class Implementation(msgspec.Struct, rename="camel", omit_defaults=True):
    """Who speaks."""

    name: str
    version: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    website_url: str | UnsetType = UNSET


class ListCapability(msgspec.Struct, rename="camel", omit_defaults=True):
    """That there are tools, or prompts, and whether changes of their list are told."""

    list_changed: bool | UnsetType = UNSET


class ResourcesCapability(msgspec.Struct, rename="camel", omit_defaults=True):
    """That there are resources, and whether changes of their list, and of each one, are told."""

    subscribe: bool | UnsetType = UNSET
    list_changed: bool | UnsetType = UNSET


class ServerCapabilities(msgspec.Struct, rename="camel", omit_defaults=True):
    """What a server can do."""

    tools: ListCapability | UnsetType = UNSET
    logging: dict[str, Any] | UnsetType = UNSET
    experimental: dict[str, dict[str, Any]] | UnsetType = UNSET
    extensions: dict[str, dict[str, Any]] | UnsetType = UNSET
    prompts: ListCapability | UnsetType = UNSET
    resources: ResourcesCapability | UnsetType = UNSET
    completions: dict[str, Any] | UnsetType = UNSET


class DiscoverResult(msgspec.Struct, rename="camel"):
    """What a server is and can do."""

    supported_versions: list[str]
    capabilities: ServerCapabilities
    ttl_ms: int
    cache_scope: CacheScope
    instructions: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = "complete"


class ProgressParams(msgspec.Struct, rename="camel", omit_defaults=True):
    """`params` of notifications/progress; `progress` grows, towards `total` if that is known."""

    progress_token: RequestId
    progress: float
    total: float | None = None
    message: str | None = None


class LogParams(msgspec.Struct, omit_defaults=True):
    """`params` of notifications/message; `data` is any JSON value."""

    level: LogLevel
    data: Any
    logger: str | None = None


def encode_progress(
    token: RequestId, progress: float, total: float | None = None, message: str | None = None
) -> bytes:
    """notifications/progress.

    Raises:
        ValueError: `progress` or `total` is no finite number, or a text has no UTF-8 form.
    """
    check_progress(progress, total, message)
    return encode_notification("notifications/progress", ProgressParams(token, progress, total, message))


def check_progress(progress: Any, total: Any = None, message: Any = None) -> None:
    """Raise ValueError unless a report of progress is one: finite numbers, and a text or None."""
    for name, number in (("progress", progress), ("total", total)):
        if name == "total" and number is None:
            continue
        try:
            is_finite = math.isfinite(number)
        except (TypeError, OverflowError):
            is_finite = False
        if not is_finite or isinstance(number, str):
            raise ValueError(f"{name} must be a finite number, not {number!r}")
    if not (message is None or isinstance(message, str)):
        raise ValueError(f"the message of a progress report must be a text, not {message!r}")


def encode_log(level: LogLevel, data: Any, logger: str | None = None) -> bytes:
    """notifications/message.

    Raises:
        TypeError: `data` has no JSON form.
        ValueError: a text in it has no UTF-8 form.
    """
    return encode_notification("notifications/message", LogParams(level, data, logger))
