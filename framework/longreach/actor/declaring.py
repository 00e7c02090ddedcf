"""The decorators of a server for prompts, resources and completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from longreach.actor.completions import CompletionSpec
from longreach.actor.offers import Offers
from longreach.actor.options import PromptOptions, ResourceOptions
from longreach.actor.prompts import PromptSpec, prompt_spec
from longreach.actor.resources import Caching, ResourceSpec, resource_spec
from longreach.errors import DeclarationError
from longreach.policy.limits import Limits
from longreach.wire.mcp import Annotations, CacheScope, Icon
from longreach.wire.uritemplates import parse_template

F = TypeVar("F", bound=Callable[..., Any])
Completing = Mapping[str, Callable[..., Any]]


class Declaring(Offers):
    """What a `Server` can be told to offer beside tools."""

    read_ttl_s: float
    read_cache_scope: CacheScope

    @overload
    def prompt(self, function: F, /) -> F: ...
    @overload
    def prompt(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        complete: Completing = ...,
        concurrency: int | None = None,
        mailbox: int | None = None,
        timeout_s: float | None = None,
        keep_running: bool = False,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> Callable[[F], F]: ...
    def prompt(self, function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:  # noqa: D417
        """Make a function a prompt: ``@server.prompt`` or ``@server.prompt(title=...)``.

        It returns text or content, which the user says, a `Message`, or a list of them. Its parameters are
        the prompt's arguments, which are texts; a parameter of another type gets what the text means as JSON.

        Args:
            function: the handler.
            name: of the prompt; otherwise the function's.
            title: for people.
            description: what it is for; otherwise the docstring's.
            complete: for an argument, by name, the function that completes it; see `completion`.
            concurrency: how many calls run at once on one node (async 100, thread 16).
            mailbox: how many more may wait (256); what comes then is refused with "busy".
            timeout_s: how long one call may take; otherwise as long as its caller waits.
            keep_running: go on when the caller has fallen silent.
            icons: for people.
            meta: `_meta` of the definition.
            tags: words to sort and filter by.
            limits: what each caller may do with it (`Limits`); the server's count besides.

        Raises:
            DeclarationError: the function cannot be a prompt; the message says why.
        """
        stated = PromptOptions(**options)

        def decorate(declared: F) -> F:
            self._declare_prompt(declared, stated)
            return declared

        return decorate if function is None else decorate(function)

    def add_prompt(self, function: Callable[..., Any], **options: Any) -> PromptSpec:
        """Add a prompt, at run time too; options as for `prompt`."""
        return self._declare_prompt(function, PromptOptions(**options))

    def remove_prompt(self, name: str) -> None:
        """Take a prompt away, and what completes its arguments; running calls end as they would have.

        Raises:
            ConfigError: there is no such prompt, or it belongs to an actor.
        """
        self._take_away("prompt", name, *self._completions_of("prompt", name))

    def resource(
        self,
        uri: str,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime_type: str | None = None,
        size: int | None = None,
        annotations: Annotations | None = None,
        ttl_s: float | None = None,
        cache_scope: CacheScope | None = None,
        complete: Completing | None = None,
        concurrency: int | None = None,
        mailbox: int | None = None,
        timeout_s: float | None = None,
        keep_running: bool = False,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> Callable[[F], F]:
        """Make a function a resource, or with ``{name}`` in the URI a template of resources.

        It returns text, bytes, `ResourceContents` or a list of them; anything else becomes JSON. Of a
        template, the variables are its parameters: ``{name}`` is one part of a URI, ``{+name}`` any part,
        slashes included. It raises `ResourceNotFound` for what there is not.

        Args:
            uri: ``docs://readme``, or ``docs://{section}/{page}``.
            name: of the resource; otherwise the function's.
            title: for people.
            description: what it holds; otherwise the docstring's.
            mime_type: of what it holds; otherwise by what the function returns.
            size: in bytes; of a single resource only.
            annotations: for whom it is, and how much it matters.
            ttl_s: how long what is read may be kept, in seconds; otherwise the server's `read_ttl_s`.
            cache_scope: and for whom; otherwise the server's `read_cache_scope`.
            complete: for a variable, by name, the function that completes it; see `completion`.
            concurrency: how many calls run at once on one node (async 100, thread 16).
            mailbox: how many more may wait (256); what comes then is refused with "busy".
            timeout_s: how long one call may take; otherwise as long as its caller waits.
            keep_running: go on when the caller has fallen silent.
            icons: for people.
            meta: `_meta` of the definition.
            tags: words to sort and filter by.
            limits: what each caller may do with it (`Limits`); the server's count besides.

        Raises:
            DeclarationError: the function cannot be such a resource; the message says why.
        """
        stated = ResourceOptions(
            uri=uri, name=name, title=title, description=description, mime_type=mime_type, size=size,
            annotations=annotations, ttl_s=ttl_s, cache_scope=cache_scope, complete=complete or {},
            concurrency=concurrency, mailbox=mailbox, timeout_s=timeout_s, keep_running=keep_running,
            icons=icons, meta=meta, tags=tags, limits=limits,
        )  # fmt: skip

        def decorate(declared: F) -> F:
            self._declare_resource(declared, stated)
            return declared

        return decorate

    def add_resource(self, uri: str, function: Callable[..., Any], **options: Any) -> ResourceSpec:
        """Add a resource or a template, at run time too; options as for `resource`."""
        return self._declare_resource(function, ResourceOptions(uri=uri, **options))

    def remove_resource(self, uri: str) -> None:
        """Take a resource or a template away; running calls end as they would have.

        Raises:
            ConfigError: there is no such resource, or it belongs to an actor.
        """
        kind: Literal["resource", "template"] = "template" if uri in self.offered("template") else "resource"
        self._take_away(kind, uri, *self._completions_of("template", uri))

    def completion(self, of: str, argument: str) -> Callable[[F], F]:
        """Make a function complete an argument: ``@server.completion("greet", "language")``.

        It gets the text so far and, if it has a second parameter, the dict of the arguments that are settled;
        it returns the list of values that fit.

        Args:
            of: a prompt's name, or a template.
            argument: the argument's, or the variable's, name.

        Raises:
            DeclarationError: the function cannot complete, or there is one for it already.
        """

        def decorate(declared: F) -> F:
            kind: Literal["prompt", "template"] = "prompt"
            if of not in self.offered("prompt") and (of in self.offered("template") or "{" in of):
                kind = "template"
            self._check_argument(kind, of, argument)
            spec = CompletionSpec(self, (kind, of), argument, declared)
            self._check_free("completion", spec.name)
            self._add(spec)
            return declared

        return decorate

    def _declare_prompt(self, function: Callable[..., Any], stated: PromptOptions) -> PromptSpec:
        spec = prompt_spec(self, function, stated, is_method=False)
        self._check_free("prompt", spec.name)
        self._add(spec, *self._completing_for(spec, stated.complete))
        return spec

    def _declare_resource(self, function: Callable[..., Any], stated: ResourceOptions) -> ResourceSpec:
        spec = resource_spec(self, function, stated, is_method=False, caching=self._caching())
        self._check_free(spec.offer, spec.name)
        self._add(spec, *self._completing_for(spec, stated.complete))
        return spec

    def _caching(self) -> Caching:
        return Caching(round(self.read_ttl_s * 1000), self.read_cache_scope)

    def _completing_for(self, spec: PromptSpec | ResourceSpec, complete: Completing) -> list[CompletionSpec]:
        """The completions that a decorator was given."""
        kind: Literal["prompt", "template"] = "prompt" if isinstance(spec, PromptSpec) else "template"
        specs = []
        for argument, function in complete.items():
            if argument not in _arguments(spec):
                raise DeclarationError(f"{kind} {spec.name}: there is no argument {argument!r} to complete")
            completing = CompletionSpec(self, (kind, spec.name), argument, function)
            self._check_free("completion", completing.name)
            specs.append(completing)
        return specs

    def _check_argument(self, kind: Literal["prompt", "template"], name: str, argument: str) -> None:
        spec = self.offered(kind).get(name)
        if spec is None:  # it may be declared later, or be a raw one
            if kind == "template" and parse_template(name) is None:
                raise DeclarationError(f"{name!r} is neither a prompt here nor a template")
            return
        if not isinstance(spec, PromptSpec | ResourceSpec):
            return
        if argument not in _arguments(spec):
            raise DeclarationError(f"{kind} {name}: there is no argument {argument!r} to complete")

    def _completions_of(self, kind: Literal["prompt", "template"], name: str) -> list[str]:
        """The ids of what completes the arguments of a prompt or a template."""
        return [
            spec.id
            for spec in self.offered("completion").values()
            if isinstance(spec, CompletionSpec) and spec.of == (kind, name)
        ]


def _arguments(spec: PromptSpec | ResourceSpec) -> list[str]:
    if isinstance(spec, PromptSpec):
        return [parameter.name for parameter in spec.schema.parameters]
    return list(spec.template.variables) if spec.template is not None else []
