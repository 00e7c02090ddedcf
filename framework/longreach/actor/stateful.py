"""Actors with state: a class, its hooks, and the marks that make a method a tool, a prompt or a resource."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

import msgspec

from longreach.actor.crashes import CrashOn
from longreach.actor.options import Options, PromptOptions, ResourceOptions, ToolOptions
from longreach.actor.spec import HandlerSpec
from longreach.errors import DeclarationError

F = TypeVar("F", bound=Callable[..., Any])

_METHOD_ATTRIBUTE = "__longreach_method__"
_OF_THE_CLASS = ("concurrency", "mailbox")


class Actor:
    """The base of actors with state: the decorated methods are handlers, and share one mailbox.

    One call runs at a time, unless the class is added with a higher `concurrency`. The state belongs to one
    replica on one node. An exception fails its call, and the state stays as the method left it. What crashes
    the actor is `raise Crash`, a `MemoryError`, anything that is no `Exception`, and the types that the class
    is added with as `crash_on`: then the state is lost, and a new instance takes its place. Instances are
    made without arguments.
    """

    async def started(self) -> None:
        """Called before the first call; what it raises keeps the actor from starting."""

    async def stopped(self) -> None:
        """Called after the last call, and also after a crash; it has a few seconds."""


class ActorSpec(msgspec.Struct, frozen=True):
    """A class of actors on a server; its handlers by their ids."""

    cls: type[Actor]
    specs: dict[str, HandlerSpec]
    concurrency: int
    mailbox: int
    crash_on: CrashOn = ()


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(function: None = None, /, **options: Any) -> Callable[[F], F]: ...
def tool(function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
    """Make a method of an `Actor` a tool: ``@tool`` or ``@tool(read_only=True)``.

    Options as for `Server.tool`, but `concurrency` and `mailbox`, which the class has as a whole.

    Raises:
        DeclarationError: an option that methods do not have.
    """
    mark = _marking(ToolOptions, options)
    return mark if function is None else mark(function)


@overload
def prompt(function: F, /) -> F: ...
@overload
def prompt(function: None = None, /, **options: Any) -> Callable[[F], F]: ...
def prompt(function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
    """Make a method of an `Actor` a prompt: ``@prompt`` or ``@prompt(title=...)``.

    Options as for `Server.prompt`, but `concurrency` and `mailbox`, which the class has as a whole.

    Raises:
        DeclarationError: an option that methods do not have.
    """
    mark = _marking(PromptOptions, options)
    return mark if function is None else mark(function)


def resource(uri: str, **options: Any) -> Callable[[F], F]:
    """Make a method of an `Actor` a resource, or a template of resources: ``@resource("docs://{page}")``.

    Options as for `Server.resource`, but `concurrency` and `mailbox`, which the class has as a whole.

    Raises:
        DeclarationError: an option that methods do not have.
    """
    return _marking(ResourceOptions, {"uri": uri, **options})


def _marking(kind: type[Options], options: dict[str, Any]) -> Callable[[F], F]:
    for option in _OF_THE_CLASS:
        if option in options:
            raise DeclarationError(
                f"{option} belongs to the class, whose methods share one mailbox: @server.actor({option}=...)"
            )
    stated = kind(**options)

    def mark(method: F) -> F:
        setattr(method, _METHOD_ATTRIBUTE, stated)
        return method

    return mark


def marked_methods(cls: type[Actor]) -> list[tuple[Callable[..., Any], Options]]:
    """The methods of `cls` that are handlers, by name, each with what was said of it.

    Raises:
        DeclarationError: the class cannot be an actor; the message says what to do.
    """
    if not inspect.isclass(cls) or not issubclass(cls, Actor):  # type: ignore[redundant-expr]
        raise DeclarationError(f"{cls!r} is no class of actors: derive it from longreach.Actor")
    for hook in (cls.started, cls.stopped):
        if not inspect.iscoroutinefunction(hook):
            raise DeclarationError(f"{cls.__name__}.{hook.__name__} must be `async def`")
    try:
        _ = inspect.signature(cls).bind()
    except TypeError as error:
        raise DeclarationError(
            f"{cls.__name__} is made without arguments, and its __init__ does not allow that: {error}"
        ) from None
    methods = [method for _, method in inspect.getmembers(cls, inspect.isfunction)]
    marked: list[tuple[Callable[..., Any], Options]] = [
        (method, getattr(method, _METHOD_ATTRIBUTE))
        for method in methods
        if hasattr(method, _METHOD_ATTRIBUTE)
    ]
    if not marked:
        raise DeclarationError(f"{cls.__name__} has no tools: decorate methods with @longreach.tool")
    return marked
