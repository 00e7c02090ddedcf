"""`Offers`: all handlers of a server, by what they are offered as, and who is told when they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from longreach.actor.options import check_sizes, check_timeout
from longreach.actor.raw import RawHandler, RawKind, RawSpec, raw_spec
from longreach.actor.spec import OFFER_KINDS, HandlerSpec, OfferKind
from longreach.errors import ConfigError, DeclarationError
from longreach.listeners import Listeners

if TYPE_CHECKING:
    from longreach.actor.stateful import ActorSpec

ANY_NAME = "*"
"""The name of a reader and of a raw completion, which take all of their kind."""


class Offers:
    """What a `Server` has; its decorators are in its subclasses."""

    name: str
    version: str
    strict_arguments: bool = False

    def __init__(self) -> None:
        self._handlers: dict[str, HandlerSpec] = {}
        self._by_kind: dict[OfferKind, dict[str, Any]] = {kind: {} for kind in OFFER_KINDS}
        self._actors: dict[str, ActorSpec] = {}
        self._listeners: Listeners[[Any]] = Listeners("handlers")
        self._update_listeners: Listeners[[str]] = Listeners("resource updated")
        self._suspension_listeners: Listeners[[]] = Listeners("suspension")
        self.suspended: str | None = None

    @property
    def handlers(self) -> Mapping[str, HandlerSpec]:
        """All handlers by their ids, those of actors included."""
        return MappingProxyType(self._handlers)

    @property
    def tools(self) -> Mapping[str, Any]:
        """All tools by name, those of actors included: `ToolSpec`, or `RawSpec`."""
        return self.offered("tool")

    @property
    def actors(self) -> Mapping[str, ActorSpec]:
        """The classes of actors, by class name."""
        return MappingProxyType(self._actors)

    def offered(self, kind: OfferKind) -> Mapping[str, Any]:
        """What is offered as `kind`, by name, in the order of declaration."""
        return MappingProxyType(self._by_kind[kind])

    def add_raw(
        self,
        kind: RawKind,
        definition: Mapping[str, Any],
        handler: RawHandler,
        *,
        concurrency: int | None = None,
        mailbox: int | None = None,
        timeout_s: float | None = None,
    ) -> RawSpec:
        """Add a handler that takes and gives JSON bytes, at run time too.

        Args:
            kind: what it is.
            definition: as listings are to have it, unknown members included.
            handler: gives a whole result object; see `RawHandler`.
            concurrency: how many calls run at once on one node.
            mailbox: how many more may wait.
            timeout_s: how long one call may take; otherwise as long as its caller waits.

        Raises:
            DeclarationError: `definition` is none of that kind, or its name is taken.
            ConfigError: a size or time that cannot be.
        """
        check_sizes(concurrency, mailbox)
        check_timeout(timeout_s)
        spec = raw_spec(
            self, kind, definition, handler, timeout_s=timeout_s, concurrency=concurrency, mailbox=mailbox
        )
        self._check_free(kind, spec.name)
        self._add(spec)
        return spec

    def remove_raw(self, kind: RawKind, name_or_uri: str) -> None:
        """Take a handler away again; running calls end as they would have.

        Raises:
            ConfigError: there is none, or it belongs to an actor.
        """
        self._take_away(kind, name_or_uri)

    def set_raw_completion(self, handler: RawHandler | None, **options: Any) -> None:
        """Let `handler` answer every completion/complete that no declared completion answers; None: nobody.

        Options as for `add_raw`.
        """
        self._set_catch_all("completion", handler, options)

    def set_raw_reader(self, handler: RawHandler | None, **options: Any) -> None:
        """Let `handler` answer every resources/read of a URI that nothing here is declared for; None: nobody.

        Options as for `add_raw`.
        """
        self._set_catch_all("reader", handler, options)

    def on_change(self, listener: Callable[[Any], None]) -> Callable[[], None]:
        """Call `listener` when handlers are added or removed; returns what ends that."""
        return self._listeners.add(listener)

    def notify_resource_updated(self, uri: str) -> None:
        """Tell whoever listens for it that a resource is not what it was; from any thread.

        Args:
            uri: of the resource, or one of a template.

        Raises:
            ValueError: it has no UTF-8 form.
        """
        _ = uri.encode()
        self._update_listeners.tell(uri)

    def on_update(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the URI of each resource that was updated; returns what ends that."""
        return self._update_listeners.add(listener)

    def suspend(self, why: str) -> None:
        """Take no more calls for the raw handlers, until `resume`: what is behind them is down.

        They leave their groups and stay announced. What waits is refused as not started, so that it is made
        elsewhere; what runs, its handler ends.
        """
        self.suspended = why
        self._suspension_listeners.tell()

    def resume(self) -> None:
        """What is behind the raw handlers is up again."""
        self.suspended = None
        self._suspension_listeners.tell()

    def on_suspension(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when `suspended` has changed; returns what ends that."""
        return self._suspension_listeners.add(listener)

    def _set_catch_all(self, kind: OfferKind, handler: RawHandler | None, options: dict[str, Any]) -> None:
        check_sizes(options.get("concurrency"), options.get("mailbox"))
        check_timeout(options.get("timeout_s"))
        if handler is not None:
            self._add(RawSpec(self, kind, ANY_NAME, handler, **options))
        elif ANY_NAME in self._by_kind[kind]:
            self._take_away(kind, ANY_NAME)

    def _check_free(self, kind: OfferKind, name: str) -> None:
        if name in self._by_kind[kind]:
            raise DeclarationError(f"{self.name} has a {kind} called {name!r} already")

    def _add(self, *specs: HandlerSpec) -> None:
        for spec in specs:
            self._handlers[spec.id] = self._by_kind[spec.offer][spec.name] = spec
        self._changed()

    def _add_actor(self, actor: ActorSpec, more: Sequence[HandlerSpec]) -> ActorSpec:
        self._actors[actor.cls.__name__] = actor
        self._add(*actor.specs.values(), *more)
        return actor

    def _take_away(self, kind: OfferKind, name: str, *more: str) -> None:
        """Take a handler away, and with it those of the ids `more`."""
        spec = self._by_kind[kind].get(name)
        if spec is None or any(spec.id in actor.specs for actor in self._actors.values()):
            known = sorted(self._by_kind[kind])
            raise ConfigError(f"{self.name} has no {kind} {name!r} that can be removed: {known}")
        for spec_id in (spec.id, *more):
            gone = self._handlers.pop(spec_id)
            del self._by_kind[gone.offer][gone.name]
        self._changed()

    def _changed(self) -> None:
        self._listeners.tell(self)
