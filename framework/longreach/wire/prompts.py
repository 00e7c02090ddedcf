"""MCP 2026-07-28's messages for prompts. Source: MCP 2026-07-28 schema."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from longreach.wire.mcp import CacheScope, ContentBlock, Icon, Role


class PromptArgument(msgspec.Struct, omit_defaults=True):
    """One argument of a prompt; its value is text."""

    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    required: bool | UnsetType = UNSET


class Prompt(msgspec.Struct, omit_defaults=True):
    """A prompt's definition."""

    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    arguments: list[PromptArgument] | UnsetType = UNSET
    icons: list[Icon] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(name="_meta", default=UNSET)


class PromptMessage(msgspec.Struct):
    """One message of a prompt: who says what."""

    role: Role
    content: ContentBlock


class GetPromptResult(msgspec.Struct, rename="camel"):
    """A prompt with its arguments filled in."""

    messages: list[PromptMessage]
    description: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = "complete"


class ListPromptsResult(msgspec.Struct, rename="camel"):
    """A page of prompts; `ttl_ms` says how long it may be kept."""

    prompts: list[Prompt]
    ttl_ms: int
    cache_scope: CacheScope
    next_cursor: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = "complete"
