"""`Server`: a named, versioned bundle of tools, prompts and resources, declared with decorators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, get_args, overload

from longreach.actor.authorizing import Authorize
from longreach.actor.crashes import check_crash_on
from longreach.actor.declaring import Declaring
from longreach.actor.options import (
    Options,
    PromptOptions,
    ResourceOptions,
    ToolOptions,
    check_caching,
    check_sizes,
    check_tags,
)
from longreach.actor.prompts import prompt_spec
from longreach.actor.resources import resource_spec
from longreach.actor.spec import DEFAULT_MAILBOX, HandlerSpec, ToolSpec
from longreach.actor.stateful import Actor, ActorSpec, marked_methods, prompt, resource, tool
from longreach.actor.states import DEFAULT_TTL_S
from longreach.actor.tools import tool_spec
from longreach.errors import ConfigError, DeclarationError
from longreach.policy.limits import Limits
from longreach.policy.restart import Strategy
from longreach.wire.mcp import CacheScope, Icon
from longreach.wire.names import check_server_name

__all__ = ["Actor", "Server", "prompt", "resource", "tool"]

F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A", bound=type[Actor])
Lifespan = Callable[["Server"], AbstractAsyncContextManager[Any]]


def is_unicode(text: str) -> bool:
    """Whether a text can be sent: JSON has no lone surrogates."""
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Server(Declaring):
    """An MCP server: a named, versioned bundle of tools, prompts and resources.

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
        read_ttl_s: how long clients may keep what they read of a resource that says nothing of it itself.
        read_cache_scope: and for whom.
        state_ttl_s: how long a caller may take to answer what a handler asks for, in seconds.
        tags: words to sort and filter servers by.
        limits: what each caller may do with all of it together; what is beyond is refused as busy.
        authorize: says for each request, and for each item of a listing, whether its caller may have it:
            called with an `AuthRequest` in the event loop, it returns True or False, or is a coroutine
            function that does. With it listings are private, whatever `cache_scope` says.
        strict_arguments: refuse an argument of a tool that comes as JSON text, such as ``"[1,2]"`` for a
            list, as some hosts send all of them. Otherwise it is taken where its type takes no text.
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
        read_ttl_s: float = 0.0,
        read_cache_scope: CacheScope = "private",
        state_ttl_s: float = DEFAULT_TTL_S,
        tags: Iterable[str] = (),
        limits: Limits | None = None,
        authorize: Authorize | None = None,
        strict_arguments: bool = False,
    ) -> None:
        super().__init__()
        if strategy not in get_args(Strategy):
            raise ConfigError(f"strategy={strategy!r} is none of {', '.join(get_args(Strategy))}")
        if intensity < 0 or not period_s > 0:
            raise ConfigError("intensity must be at least 0, and period_s more than 0 seconds")
        if not 0 < state_ttl_s < float("inf"):
            raise ConfigError(f"state_ttl_s must be more than 0 seconds, and not for ever: {state_ttl_s}")
        check_caching(list_ttl_s, cache_scope, "list_")
        check_caching(read_ttl_s, read_cache_scope, "read_")
        if authorize is not None and read_cache_scope == "public":
            raise ConfigError("with authorize= what is read is not for everybody: leave read_cache_scope")
        self.name = check_server_name(name)
        for setting, text in (("version", version), ("title", title), ("instructions", instructions)):
            if text is not None and not is_unicode(text):
                raise ConfigError(f"{setting} of server {name!r} is not valid Unicode: {text!r}")
        self.version = version
        self.strict_arguments = strict_arguments
        self.title = title
        self.instructions = instructions
        self.lifespan = lifespan
        self.strategy: Strategy = strategy
        self.intensity = intensity
        self.period_s = period_s
        self.list_ttl_s = list_ttl_s
        self.cache_scope: CacheScope = cache_scope if authorize is None else "private"
        self.read_ttl_s = read_ttl_s
        self.read_cache_scope: CacheScope = read_cache_scope
        self.state_ttl_s = state_ttl_s
        self.tags = check_tags(tags)
        self.limits = limits
        self.authorize = authorize

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
        tags: Iterable[str] = (),
        input_schema: Mapping[str, Any] | None = None,
        output_schema: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
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
            tags: words to sort and filter by.
            input_schema: JSON Schema of the arguments, in place of the one that the signature makes; then the
                function takes them as one dict. Needs python-jsonschema, as `output_schema` does.
            output_schema: JSON Schema of the structured result, in place of the one of the annotation.
            limits: what each caller may do with it (`Limits`); the server's count besides.

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
    def actor(
        self,
        cls: None = None,
        /,
        *,
        concurrency: int = 1,
        mailbox: int = ...,
        crash_on: type[BaseException] | Iterable[type[BaseException]] = (),
    ) -> Callable[[A], A]: ...
    def actor(
        self,
        cls: A | None = None,
        /,
        *,
        concurrency: int = 1,
        mailbox: int = DEFAULT_MAILBOX,
        crash_on: type[BaseException] | Iterable[type[BaseException]] = (),
    ) -> A | Callable[[A], A]:
        """Make a class an actor of this server: ``@server.actor``. Each node runs one instance of it.

        An exception in a method fails that call, and the state stays as the method left it.

        Args:
            cls: the class.
            concurrency: how many calls run at once on one node.
            mailbox: how many more may wait; what comes then is refused with "busy".
            crash_on: exceptions that crash the actor: its state is lost, and a new instance takes over.
                `Crash`, `MemoryError` and what is no `Exception` always do.

        Raises:
            DeclarationError: it is no `Actor`, has no such methods, or one of them cannot be one.
        """
        if cls is not None:
            self.add_actor(cls, concurrency=concurrency, mailbox=mailbox, crash_on=crash_on)
            return cls

        def decorate(declared: A) -> A:
            self.add_actor(declared, concurrency=concurrency, mailbox=mailbox, crash_on=crash_on)
            return declared

        return decorate

    def add_actor(
        self,
        cls: type[Actor],
        *,
        concurrency: int = 1,
        mailbox: int = DEFAULT_MAILBOX,
        crash_on: type[BaseException] | Iterable[type[BaseException]] = (),
    ) -> ActorSpec:
        """Add a class whose methods, decorated with `tool`, `prompt` or `resource`, are that; see `actor`.

        Raises:
            DeclarationError: it is no `Actor`, has no such methods, or one of them cannot be one.
        """
        check_sizes(concurrency, mailbox)
        crashing = check_crash_on(crash_on)
        marked = marked_methods(cls)
        if cls.__name__ in self.actors:
            raise DeclarationError(f"{self.name} has an actor called {cls.__name__} already")
        specs: dict[str, HandlerSpec] = {}
        completing: list[HandlerSpec] = []
        for method, stated in marked:
            spec, more = self._method(method, stated)
            self._check_free(spec.offer, spec.name)
            if spec.id in specs:
                raise DeclarationError(f"{cls.__name__} has two {spec.offer}s called {spec.name!r}")
            specs[spec.id] = spec
            completing += more
        return self._add_actor(ActorSpec(cls, specs, concurrency, mailbox, crashing), completing)

    def _declare(self, function: Callable[..., Any], stated: ToolOptions) -> ToolSpec:
        spec = tool_spec(self, function, stated, is_method=False)
        self._check_free("tool", spec.name)
        self._add(spec)
        return spec

    def _method(
        self, method: Callable[..., Any], stated: Options
    ) -> tuple[HandlerSpec, Sequence[HandlerSpec]]:
        """The spec of an actor's method, and those of what completes its arguments."""
        match stated:
            case PromptOptions():
                prompt = prompt_spec(self, method, stated, is_method=True)
                return prompt, self._completing_for(prompt, stated.complete)
            case ResourceOptions():
                resource = resource_spec(self, method, stated, is_method=True, caching=self._caching())
                return resource, self._completing_for(resource, stated.complete)
            case _:
                assert isinstance(stated, ToolOptions)
                return tool_spec(self, method, stated, is_method=True), ()

    def __repr__(self) -> str:
        return f"<Server {self.name} {self.version}: {len(self.tools)} tools>"
