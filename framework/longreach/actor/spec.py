"""What is known of a handler once it is declared: what it is offered as, and how it is run."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

from longreach.actor.call import Completed, Failed
from longreach.actor.results import error_result, to_result
from longreach.errors import DeclarationError
from longreach.wire import codes
from longreach.wire.manifest import Definition, define
from longreach.wire.mcp import Tool
from longreach.wire.schema import HandlerSchema
from longreach.wire.subjects import method_token
from longreach.wire.tokens import NONE, encode_token

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending
    from longreach.policy.limits import Limits
    from longreach.wire.prompts import Prompt
    from longreach.wire.resources import Resource, ResourceTemplate

TOOL_ATTRIBUTE = "__longreach_tool__"
"""Where a decorated function keeps its `ToolSpec`."""

Kind = Literal["async", "thread", "process"]
DEFAULT_CONCURRENCY: dict[Kind, int] = {"async": 100, "thread": 16, "process": os.cpu_count() or 1}
DEFAULT_MAILBOX = 256

OfferKind = Literal["tool", "prompt", "resource", "template", "reader", "completion"]
"""What a handler is offered as; a reader takes what is read of no resource or template."""
OFFER_KINDS: tuple[OfferKind, ...] = ("tool", "prompt", "resource", "template", "reader", "completion")
_METHODS: dict[OfferKind, str] = {
    "tool": "tools/call",
    "prompt": "prompts/get",
    "resource": "resources/read",
    "template": "resources/read",
    "reader": "resources/read",
    "completion": "completion/complete",
}
_NAMED = ("tool", "prompt")
"""Their names are in their subjects; all others of a server share one subject for each method."""


class Named(Protocol):
    """A server, as far as its handlers know it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def version(self) -> str:
        """Its version."""
        ...

    @property
    def strict_arguments(self) -> bool:
        """Whether arguments that come as JSON text are refused."""
        ...


class HandlerSpec(ABC):
    """A declared handler of one MCP method.

    Attributes:
        offer: what it is offered as.
        name: the tool's or prompt's name, the resource's URI, the template, or what is completed.
        id: unique in its server.
        method: the MCP method.
        address: method and name as tokens, as in a request's subject.
        listed: its definition as listings have it; None for what is in no listing.
        function: the handler; for an actor's method the plain function.
        kind: where it runs.
        context_parameter: which parameter the framework passes the context in; None without one.
        can_ask: it may ask its caller for something; a request state that comes to it is one of ours.
        concurrency: how many calls run at once.
        mailbox: how many calls may wait.
        timeout_s: how long one call may take; None: as long as its caller waits.
        keep_running: a caller that falls silent does not cancel it.
        limits: what each caller may do with it, besides what its server allows; None: as much as that.
    """

    listed: Definition | None = None
    context_parameter: str | None = None

    def __init__(
        self,
        owner: Named,
        offer: OfferKind,
        name: str,
        function: Callable[..., Any],
        kind: Kind,
        *,
        concurrency: int | None = None,
        mailbox: int | None = None,
        timeout_s: float | None = None,
        keep_running: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._owner = owner
        self.offer = offer
        self.name = name
        self.id = f"{offer} {name}"
        self.method = _METHODS[offer]
        self.shares_subject = offer not in _NAMED
        self.can_ask = offer != "completion"
        self.address = f"{method_token(self.method)}.{NONE if self.shares_subject else encode_token(name)}"
        self.function = function
        self.kind = kind
        self.concurrency = concurrency or DEFAULT_CONCURRENCY[kind]
        self.mailbox = DEFAULT_MAILBOX if mailbox is None else mailbox
        self.timeout_s = timeout_s
        self.keep_running = keep_running
        self.limits = limits

    @property
    def server(self) -> str:
        """The name of the server that it belongs to."""
        return self._owner.name

    @property
    def version(self) -> str:
        """The version of that server."""
        return self._owner.version

    @abstractmethod
    def read(self, call: Call) -> dict[str, Any]:
        """The handler's keyword arguments for `call`.

        Raises:
            InvalidArguments: they do not fit.
        """

    @abstractmethod
    def completed(self, value: Any, call: Call) -> Ending:
        """The ending of a call whose handler returned `value`.

        Raises:
            InvalidResult: the value is not what the handler promised.
        """

    def refused(self, problem: str, call: Call) -> Ending:
        """The ending of a call with wrong arguments."""
        return Failed(codes.INVALID_PARAMS, problem)

    def failed(self, text: str) -> Ending:
        """The ending of a call whose handler failed; `text` is for the caller."""
        return Failed(codes.INTERNAL_ERROR, text)

    def __repr__(self) -> str:
        return f"<{self.offer} {self.server}.{self.name}>"


def listed_as(definition: Tool | Prompt | Resource | ResourceTemplate) -> Definition:
    """The definition as listings have it.

    Raises:
        DeclarationError: something in it has no JSON form.
    """
    try:
        return define(definition)
    except (TypeError, ValueError, RecursionError) as error:
        name = getattr(definition, "name", "")
        raise DeclarationError(f"{name}: its definition cannot be written as JSON: {error}") from None


class ToolSpec(HandlerSpec):
    """A declared tool.

    Attributes:
        definition: what MCP says of it.
        schema: from JSON arguments to Python ones, and back.
    """

    def __init__(
        self,
        owner: Named,
        name: str,
        definition: Tool,
        schema: HandlerSchema,
        function: Callable[..., Any],
        kind: Kind,
        **options: Any,
    ) -> None:
        super().__init__(owner, "tool", name, function, kind, **options)
        self.definition = definition
        self.schema = schema
        self.listed = listed_as(definition)
        self.context_parameter = schema.context_parameter

    def read(self, call: Call) -> dict[str, Any]:
        """The arguments, as the function's signature has them."""
        return self.schema.decode_arguments(call.params.arguments)

    def completed(self, value: Any, call: Call) -> Ending:
        """The result for `value`."""
        return Completed(to_result(value, self.schema))

    def refused(self, problem: str, call: Call) -> Ending:
        """A tool error: models read it and try again."""
        return Completed(error_result(problem))

    def failed(self, text: str) -> Ending:
        """A tool error."""
        return Completed(error_result(text))
