"""What decorators say of handlers, and what follows from it: where a handler runs, what its `_meta` holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

import msgspec
from msgspec import UNSET, UnsetType

from longreach.actor.spec import Kind
from longreach.errors import ConfigError, DeclarationError
from longreach.policy.limits import Limits
from longreach.wire.mcp import (
    TAGS_KEY,
    TIMEOUT_KEY,
    Annotations,
    CacheScope,
    Icon,
    Tool,
    ToolAnnotations,
)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a decorator says of a handler of any method; see `Server.tool`."""

    name: str | None = None
    title: str | None = None
    description: str | None = None
    concurrency: int | None = None
    mailbox: int | None = None
    timeout_s: float | None = None
    keep_running: bool = False
    icons: Sequence[Icon] | None = None
    meta: Mapping[str, Any] | None = None
    tags: Iterable[str] = ()
    limits: Limits | None = None

    def __post_init__(self) -> None:
        check_sizes(self.concurrency, self.mailbox)
        check_timeout(self.timeout_s)
        msgspec.structs.force_setattr(self, "tags", check_tags(self.tags))  # which may be an iterator

    def running(self) -> dict[str, Any]:
        """What a `HandlerSpec` wants to know of how it is run."""
        return {
            "concurrency": self.concurrency,
            "mailbox": self.mailbox,
            "timeout_s": self.timeout_s,
            "keep_running": self.keep_running,
            "limits": self.limits,
        }

    def shown(self) -> dict[str, Any]:
        """The members that definitions of all kinds have."""
        meta = dict(self.meta or {})
        if self.timeout_s is not None:
            meta[TIMEOUT_KEY] = round(self.timeout_s * 1000)
        if self.tags:
            meta[TAGS_KEY] = self.tags
        return {
            "title": self.title or UNSET,
            "icons": list(self.icons) if self.icons else UNSET,
            "meta": meta or UNSET,
        }


class ToolOptions(Options, frozen=True, kw_only=True):
    """What a decorator says of a tool; see `Server.tool`."""

    read_only: bool | None = None
    idempotent: bool | None = None
    destructive: bool | None = None
    open_world: bool | None = None
    process: bool = False
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None


class PromptOptions(Options, frozen=True, kw_only=True):
    """What a decorator says of a prompt; see `Server.prompt`."""

    complete: Mapping[str, Callable[..., Any]] = {}


class ResourceOptions(Options, frozen=True, kw_only=True):
    """What a decorator says of a resource or a template; see `Server.resource`."""

    uri: str
    mime_type: str | None = None
    size: int | None = None
    annotations: Annotations | None = None
    ttl_s: float | None = None
    cache_scope: CacheScope | None = None
    complete: Mapping[str, Callable[..., Any]] = {}

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        check_caching(self.ttl_s, self.cache_scope)


def check_sizes(concurrency: int | None, mailbox: int | None) -> None:
    """See to it that an actor can run at least one call.

    Raises:
        ConfigError: it could not.
    """
    if concurrency is not None and concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
    if mailbox is not None and mailbox < 0:
        raise ConfigError(f"mailbox must be at least 0, not {mailbox}")


def check_timeout(timeout_s: float | None) -> None:
    """See to it that a timeout is one.

    Raises:
        ConfigError: it is not.
    """
    if timeout_s is not None and not 0 < timeout_s < float("inf"):
        raise ConfigError(f"timeout_s must be more than 0 seconds, and not for ever: {timeout_s}")


def check_caching(ttl_s: float | None, scope: str | None, prefix: str = "") -> None:
    """See to it that caching hints mean something.

    Raises:
        ConfigError: they do not.
    """
    if ttl_s is not None and not 0 <= ttl_s < float("inf"):
        raise ConfigError(f"{prefix}ttl_s must be 0 seconds or more, and not for ever: {ttl_s}")
    if scope is not None and scope not in get_args(CacheScope):
        raise ConfigError(f"cache_scope={scope!r} is none of {', '.join(get_args(CacheScope))}")


def check_tags(tags: Iterable[str]) -> list[str]:
    """The tags in order, each once.

    Raises:
        ConfigError: they are no words.
    """
    words: list[Any] = [tags] if isinstance(tags, str) else list(tags)
    if isinstance(tags, str) or not all(isinstance(word, str) and word for word in words):
        raise ConfigError(f"tags must be words, as in tags=['billing', 'beta'], not {words!r}")
    return sorted(set(words))


def kind_of(function: Callable[..., Any], *, process: bool, is_method: bool) -> Kind:
    """Where a handler runs.

    Raises:
        DeclarationError: it cannot run there, or anywhere.
    """
    name = getattr(function, "__qualname__", repr(function))
    is_async = inspect.iscoroutinefunction(function)
    if not process:
        return "async" if is_async else "thread"
    if is_async:
        raise DeclarationError(f"{name}: process=True needs a plain `def`, not `async def`")
    if is_method or not inspect.isfunction(function) or "." in name or "<" in name:
        raise DeclarationError(
            f"{name}: process=True needs a module-level function, which another process can import"
        )
    return "process"


def definition_of(
    name: str,
    stated: ToolOptions,
    input_schema: dict[str, Any],
    output_schema: dict[str, Any] | None,
    description: str | None,
) -> Tool:
    """What MCP says of the tool; hints that nobody stated are left out."""
    return Tool(
        name=name,
        input_schema=input_schema,
        description=stated.description or description or UNSET,
        output_schema=output_schema if output_schema is not None else UNSET,
        annotations=_hints(stated),
        **stated.shown(),
    )


def _hints(stated: ToolOptions) -> ToolAnnotations | UnsetType:
    hints = {
        "read_only_hint": stated.read_only,
        "destructive_hint": stated.destructive,
        "idempotent_hint": stated.idempotent,
        "open_world_hint": stated.open_world,
    }
    said: dict[str, Any] = {hint: value for hint, value in hints.items() if value is not None}
    return ToolAnnotations(**said) if said else UNSET
