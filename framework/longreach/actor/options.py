"""What a decorator says of a tool, and what that makes of a function: a definition for callers, a kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from longreach.actor.spec import Kind
from longreach.errors import ConfigError, DeclarationError
from longreach.wire.mcp import TIMEOUT_KEY, Icon, Tool, ToolAnnotations
from longreach.wire.schema import HandlerSchema


class ToolOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a decorator says of a tool; see `Server.tool`."""

    name: str | None = None
    title: str | None = None
    description: str | None = None
    read_only: bool | None = None
    idempotent: bool | None = None
    destructive: bool | None = None
    open_world: bool | None = None
    concurrency: int | None = None
    mailbox: int | None = None
    timeout_s: float | None = None
    process: bool = False
    keep_running: bool = False
    icons: Sequence[Icon] | None = None
    meta: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_sizes(self.concurrency, self.mailbox)
        check_timeout(self.timeout_s)


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


def kind_of(function: Callable[..., Any], stated: ToolOptions, *, is_method: bool) -> Kind:
    """Where a handler runs.

    Raises:
        DeclarationError: it cannot run there, or anywhere.
    """
    name = getattr(function, "__qualname__", repr(function))
    is_async = inspect.iscoroutinefunction(function)
    if not stated.process:
        return "async" if is_async else "thread"
    if is_async:
        raise DeclarationError(f"{name}: process=True needs a plain `def`, not `async def`")
    if is_method or not inspect.isfunction(function) or "." in name or "<" in name:
        raise DeclarationError(
            f"{name}: process=True needs a module-level function, which another process can import"
        )
    return "process"


def definition_of(name: str, stated: ToolOptions, schema: HandlerSchema) -> Tool:
    """What MCP says of the tool; hints that nobody stated are left out."""
    hints = {
        "read_only_hint": stated.read_only,
        "destructive_hint": stated.destructive,
        "idempotent_hint": stated.idempotent,
        "open_world_hint": stated.open_world,
    }
    said: dict[str, Any] = {hint: value for hint, value in hints.items() if value is not None}
    meta = dict(stated.meta or {})
    if stated.timeout_s is not None:
        meta[TIMEOUT_KEY] = round(stated.timeout_s * 1000)
    return Tool(
        name=name,
        input_schema=schema.input_schema,
        title=stated.title or UNSET,
        description=stated.description or schema.description or UNSET,
        output_schema=schema.output_schema if schema.output_schema is not None else UNSET,
        annotations=ToolAnnotations(**said) if said else UNSET,
        icons=list(stated.icons) if stated.icons else UNSET,
        meta=meta or UNSET,
    )
