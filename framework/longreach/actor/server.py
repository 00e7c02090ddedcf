"""`Server`: a named, versioned bundle of tools, declared with decorators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar, get_args, overload

from longreach.actor.context import Context
from longreach.actor.offers import Offers
from longreach.actor.options import ToolOptions, check_sizes, definition_of, kind_of
from longreach.actor.results import Audio, Image
from longreach.actor.spec import DEFAULT_MAILBOX, TOOL_ATTRIBUTE, HandlerSpec, ToolSpec
from longreach.actor.stateful import Actor, ActorSpec, marked_methods, tool
from longreach.errors import ConfigError, DeclarationError
from longreach.policy.restart import Strategy
from longreach.wire.mcp import CacheScope, Icon
from longreach.wire.names import check_server_name, check_tool_name
from longreach.wire.schema import inspect_handler

__all__ = ["Actor", "Server", "tool"]

F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A", bound=type[Actor])
Lifespan = Callable[["Server"], AbstractAsyncContextManager[Any]]


class Server(Offers):
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
        list_ttl_s: how long clients may keep a listing, in seconds; 0: not at all.
        cache_scope: ``"public"``: what is listed is the same for everybody, so that gateways may share it;
            ``"private"``: one caller's copy is for that caller only.
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
        list_ttl_s: float = 12.0,
        cache_scope: CacheScope = "public",
    ) -> None:
        super().__init__()
        if strategy not in get_args(Strategy):
            raise ConfigError(f"strategy={strategy!r} is none of {', '.join(get_args(Strategy))}")
        if intensity < 0 or not period_s > 0:
            raise ConfigError("intensity must be at least 0, and period_s more than 0 seconds")
        if not 0 <= list_ttl_s < float("inf"):
            raise ConfigError(f"list_ttl_s must be 0 seconds or more, and not for ever: {list_ttl_s}")
        if cache_scope not in get_args(CacheScope):
            raise ConfigError(f"cache_scope={cache_scope!r} is none of {', '.join(get_args(CacheScope))}")
        self.name = check_server_name(name)
        self.version = version
        self.title = title
        self.instructions = instructions
        self.lifespan = lifespan
        self.strategy: Strategy = strategy
        self.intensity = intensity
        self.period_s = period_s
        self.list_ttl_s = list_ttl_s
        self.cache_scope: CacheScope = cache_scope

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
        self._take_away("tool", name)

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
        check_sizes(concurrency, mailbox)
        marked = marked_methods(cls)
        if cls.__name__ in self.actors:
            raise DeclarationError(f"{self.name} has an actor called {cls.__name__} already")
        specs: dict[str, HandlerSpec] = {}
        for method, stated in marked:
            spec = self._spec(method, stated, is_method=True)
            if spec.id in specs:
                raise DeclarationError(f"{cls.__name__} has two {spec.offer}s called {spec.name!r}")
            specs[spec.id] = spec
        return self._add_actor(ActorSpec(cls, specs, concurrency, mailbox))

    def _declare(self, function: Callable[..., Any], stated: ToolOptions) -> ToolSpec:
        spec = self._spec(function, stated, is_method=False)
        self._add(spec)
        return spec

    def _spec(self, function: Callable[..., Any], stated: ToolOptions, *, is_method: bool) -> ToolSpec:
        name = check_tool_name(str(stated.name or getattr(function, "__name__", "")))
        self._check_free("tool", name)
        kind = kind_of(function, stated, is_method=is_method)
        schema = inspect_handler(
            function, context_type=Context, content_types=(Image, Audio), skip_self=is_method
        )
        if kind == "process" and schema.context_parameter is not None:
            raise DeclarationError(
                f"{name}: process=True runs in another process, where there is no Context; "
                f"leave parameter {schema.context_parameter!r} out"
            )
        spec = ToolSpec(
            self,
            name,
            definition_of(name, stated, schema),
            schema,
            function,
            kind,
            concurrency=stated.concurrency,
            mailbox=stated.mailbox,
            timeout_s=stated.timeout_s,
            keep_running=stated.keep_running,
        )
        with suppress(AttributeError):  # a bound method takes none; it is called by its tool's name
            setattr(function, TOOL_ATTRIBUTE, spec)
        return spec

    def __repr__(self) -> str:
        return f"<Server {self.name} {self.version}: {len(self.tools)} tools>"
