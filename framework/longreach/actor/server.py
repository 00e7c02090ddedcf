"""`Server`: a named, versioned bundle of tools, declared with decorators."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, TypeVar, overload

import msgspec
from msgspec import UNSET

from longreach.actor.context import Context
from longreach.actor.results import Audio, Image
from longreach.actor.spec import DEFAULT_CONCURRENCY, DEFAULT_MAILBOX, TOOL_ATTRIBUTE, Kind, ToolSpec
from longreach.errors import ConfigError, DeclarationError
from longreach.policy.restart import Strategy
from longreach.wire.mcp import TIMEOUT_KEY, Icon, Tool, ToolAnnotations
from longreach.wire.names import check_server_name, check_tool_name
from longreach.wire.schema import inspect_handler

F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A", bound="type[Actor]")
Lifespan = Callable[["Server"], AbstractAsyncContextManager[Any]]
Listener = Callable[["Server"], None]

_METHOD_ATTRIBUTE = "__longreach_method__"


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
        for setting in ("concurrency", "mailbox"):
            value = getattr(self, setting)
            if value is not None and value < (1 if setting == "concurrency" else 0):
                raise ConfigError(f"{setting}={value} is too small")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise ConfigError(f"timeout_s must be more than 0 seconds, not {self.timeout_s}")


class Actor:
    """The base of actors with state: the decorated methods are tools, and share one mailbox.

    One call runs at a time, unless the class is added with a higher `concurrency`. The state belongs to one
    replica on one node and is lost when the actor crashes: an exception that is no `ToolError` crashes it,
    and a new instance takes its place.
    """

    async def started(self) -> None:
        """Called before the first call; what it raises keeps the actor from starting."""

    async def stopped(self) -> None:
        """Called after the last call, and also after a crash."""


class ActorSpec(msgspec.Struct, frozen=True):
    """A class of actors on a server."""

    cls: type[Actor]
    tools: dict[str, ToolSpec]
    concurrency: int
    mailbox: int


def tool(**options: Any) -> Callable[[F], F]:
    """Make a method of an `Actor` a tool; options as for `Server.tool`."""
    stated = ToolOptions(**options)

    def mark(function: F) -> F:
        setattr(function, _METHOD_ATTRIBUTE, stated)
        return function

    return mark


class Server:
    """An MCP server: a named, versioned bundle of tools.

    Args:
        name: 1 to 64 of letters, digits, ``_`` and ``-``; callers write ``name.tool``.
        version: SemVer; its major number is part of the address.
        title: for people.
        instructions: for models: how to use the tools together.
        lifespan: `async with lifespan(server) as state`, entered once per node before the actors start;
            handlers find `state` in `Context.lifespan`.
        strategy: what else is restarted when an actor cannot start: ``"one_for_one"``, ``"one_for_all"`` or
            ``"rest_for_one"``.
        intensity: more restarts than this within `period_s` end the node.
        period_s: the window that `intensity` is about, in seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "0.1.0",
        title: str | None = None,
        instructions: str | None = None,
        lifespan: Lifespan | None = None,
        strategy: Strategy = "one_for_one",
        intensity: int = 5,
        period_s: float = 10.0,
    ) -> None:
        check_server_name(name)
        self.name = name
        self.version = version
        self.title = title
        self.instructions = instructions
        self.lifespan = lifespan
        self.strategy: Strategy = strategy
        self.intensity = intensity
        self.period_s = period_s
        self._tools: dict[str, ToolSpec] = {}
        self._actors: dict[str, ActorSpec] = {}
        self._listeners: list[Listener] = []

    @property
    def tools(self) -> Mapping[str, ToolSpec]:
        """All tools by name, those of actors included."""
        return MappingProxyType(self._tools)

    @property
    def actors(self) -> Mapping[str, ActorSpec]:
        """The classes of actors, by class name."""
        return MappingProxyType(self._actors)

    @overload
    def tool(self, function: F, /) -> F: ...
    @overload
    def tool(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        read_only: bool | None = None,
        idempotent: bool | None = None,
        destructive: bool | None = None,
        open_world: bool | None = None,
        concurrency: int | None = None,
        mailbox: int | None = None,
        timeout_s: float | None = None,
        process: bool = False,
        keep_running: bool = False,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Callable[[F], F]: ...
    def tool(self, function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:  # noqa: D417
        """Make a function a tool: ``@server.tool`` or ``@server.tool(read_only=True)``.

        The function stays what it is, and can be called, and passed to `Mesh.call`. `async def` runs in the
        event loop, `def` in a thread.

        Args:
            function: the handler.
            name: of the tool; otherwise the function's.
            title: for people.
            description: what it does; otherwise the docstring's.
            read_only: it changes nothing; it may be run again when its outcome is unknown.
            idempotent: running it twice is as good as once; the same.
            destructive: it may destroy something.
            open_world: it reaches into the world outside.
            concurrency: how many calls run at once on one node (async 100, thread 16, process one per core).
            mailbox: how many more may wait (256); what comes then is refused with "busy".
            timeout_s: how long one call may take; otherwise as long as its caller waits.
            process: run in a process of its own, which a cancel kills; module-level functions only.
            keep_running: go on when the caller has fallen silent.
            icons: for people.
            meta: `_meta` of the definition.

        Raises:
            DeclarationError: the function cannot be a tool; the message names the parameter.
        """
        stated = ToolOptions(**options)
        if function is not None:
            self._declare(function, stated)
            return function

        def decorate(declared: F) -> F:
            self._declare(declared, stated)
            return declared

        return decorate

    def add_tool(self, function: Callable[..., Any], **options: Any) -> ToolSpec:
        """Add a tool, at run time too; options as for `tool`."""
        return self._declare(function, ToolOptions(**options))

    def remove_tool(self, name: str) -> None:
        """Take a tool away, at run time too; running calls end as they would have.

        Raises:
            ConfigError: there is no such tool, or it belongs to an actor.
        """
        if name not in self._tools or any(name in actor.tools for actor in self._actors.values()):
            raise ConfigError(f"{self.name} has no tool {name!r} that can be removed: {sorted(self._tools)}")
        del self._tools[name]
        self._changed()

    @overload
    def actor(self, cls: A, /) -> A: ...
    @overload
    def actor(self, cls: None = None, /, *, concurrency: int = 1, mailbox: int = ...) -> Callable[[A], A]: ...
    def actor(
        self, cls: A | None = None, /, *, concurrency: int = 1, mailbox: int = DEFAULT_MAILBOX
    ) -> A | Callable[[A], A]:
        """Make a class an actor of this server: ``@server.actor``. Each node runs one instance of it."""
        if cls is not None:
            self.add_actor(cls, concurrency=concurrency, mailbox=mailbox)
            return cls

        def decorate(declared: A) -> A:
            self.add_actor(declared, concurrency=concurrency, mailbox=mailbox)
            return declared

        return decorate

    def add_actor(
        self, cls: type[Actor], *, concurrency: int = 1, mailbox: int = DEFAULT_MAILBOX
    ) -> ActorSpec:
        """Add a class whose methods, decorated with `tool`, are tools.

        Raises:
            DeclarationError: it is no `Actor`, has no tools, or one of them cannot be a tool.
        """
        if not inspect.isclass(cls) or not issubclass(cls, Actor):  # type: ignore[redundant-expr]
            raise DeclarationError(f"{cls!r} is no class of actors: derive it from longreach.Actor")
        if cls.__name__ in self._actors:
            raise DeclarationError(f"{self.name} has an actor called {cls.__name__} already")
        tools: dict[str, ToolSpec] = {}
        for _, method in inspect.getmembers(cls, inspect.isfunction):
            stated = getattr(method, _METHOD_ATTRIBUTE, None)
            if stated is not None:
                spec = self._spec(method, stated, is_method=True)
                tools[spec.name] = spec
        if not tools:
            raise DeclarationError(f"{cls.__name__} has no tools: decorate methods with @longreach.tool()")
        actor = ActorSpec(cls, tools, concurrency, mailbox)
        self._actors[cls.__name__] = actor
        self._tools.update(tools)
        self._changed()
        return actor

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` when tools are added or removed; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _declare(self, function: Callable[..., Any], stated: ToolOptions) -> ToolSpec:
        spec = self._spec(function, stated, is_method=False)
        self._tools[spec.name] = spec
        self._changed()
        return spec

    def _spec(self, function: Callable[..., Any], stated: ToolOptions, *, is_method: bool) -> ToolSpec:
        name = check_tool_name(str(stated.name or getattr(function, "__name__", "")))
        if name in self._tools:
            raise DeclarationError(f"{self.name} has a tool called {name!r} already")
        schema = inspect_handler(
            function, context_type=Context, content_types=(Image, Audio), skip_self=is_method
        )
        kind = _kind(function, stated, is_method=is_method)
        if kind == "process" and schema.context_parameter is not None:
            raise DeclarationError(
                f"{name}: process=True runs in another process, where there is no Context; "
                f"leave parameter {schema.context_parameter!r} out"
            )
        spec = ToolSpec(
            self,
            name,
            _definition(name, stated, schema.input_schema, schema.output_schema, schema.description),
            schema,
            function,
            kind,
            concurrency=stated.concurrency or DEFAULT_CONCURRENCY[kind],
            mailbox=DEFAULT_MAILBOX if stated.mailbox is None else stated.mailbox,
            timeout_s=stated.timeout_s,
            keep_running=stated.keep_running,
        )
        setattr(function, TOOL_ATTRIBUTE, spec)
        return spec

    def _changed(self) -> None:
        for listener in tuple(self._listeners):
            listener(self)

    def __repr__(self) -> str:
        return f"<Server {self.name} {self.version}: {len(self._tools)} tools>"


def _kind(function: Callable[..., Any], stated: ToolOptions, *, is_method: bool) -> Kind:
    is_async = inspect.iscoroutinefunction(function)
    if not stated.process:
        return "async" if is_async else "thread"
    name = getattr(function, "__qualname__", repr(function))
    if is_async:
        raise DeclarationError(f"{name}: process=True needs a plain `def`, not `async def`")
    if is_method or "." in name or "<" in name:
        raise DeclarationError(
            f"{name}: process=True needs a module-level function, which another process can import"
        )
    return "process"


def _definition(
    name: str,
    stated: ToolOptions,
    input_schema: dict[str, Any],
    output_schema: dict[str, Any] | None,
    description: str | None,
) -> Tool:
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
        input_schema=input_schema,
        title=stated.title or UNSET,
        description=stated.description or description or UNSET,
        output_schema=output_schema if output_schema is not None else UNSET,
        annotations=ToolAnnotations(**said) if said else UNSET,
        icons=list(stated.icons) if stated.icons else UNSET,
        meta=meta or UNSET,
    )
