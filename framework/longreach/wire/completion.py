"""MCP 2026-07-28's messages for completion/complete. Source: MCP 2026-07-28 schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from longreach.wire.jsonrpc import RequestId, RequestMeta, decode_with

MAX_VALUES = 100
"""MCP allows no more values in one answer."""


class PromptReference(msgspec.Struct, tag="ref/prompt", tag_field="type", omit_defaults=True):
    """The argument is a prompt's."""

    name: str
    title: str | UnsetType = UNSET


class ResourceReference(msgspec.Struct, tag="ref/resource", tag_field="type"):
    """The argument is a variable of a resource template; `uri` is the template."""

    uri: str


class CompletionArgument(msgspec.Struct):
    """What is typed so far, of which argument."""

    name: str
    value: str


class CompletionContext(msgspec.Struct):
    """The arguments that are settled already."""

    arguments: dict[str, str] = {}


class CompleteParams(msgspec.Struct):
    """`params` of completion/complete; a completion asks nothing back, so there is never a second round."""

    input_responses: ClassVar[UnsetType] = UNSET
    request_state: ClassVar[UnsetType] = UNSET
    ref: PromptReference | ResourceReference
    argument: CompletionArgument
    context: CompletionContext = msgspec.field(default_factory=CompletionContext)
    meta: RequestMeta | UnsetType = msgspec.field(name="_meta", default=UNSET)

    @property
    def completes(self) -> str:
        """`argument_of` what is completed."""
        if isinstance(self.ref, PromptReference):
            return argument_of("prompt", self.ref.name, self.argument.name)
        return argument_of("template", self.ref.uri, self.argument.name)


class CompleteRequest(msgspec.Struct):
    """A completion/complete request."""

    jsonrpc: Literal["2.0"]
    id: RequestId
    method: str
    params: CompleteParams


_decoder = msgspec.json.Decoder(CompleteRequest)


def decode_complete(data: bytes) -> CompleteRequest:
    """A completion/complete request; its `method` is for the caller to check.

    Raises:
        Malformed: it is none.
    """
    return decode_with(_decoder, data)


class Completion(msgspec.Struct, rename="camel", omit_defaults=True):
    """Values to choose from; `total` counts those that are not shown too."""

    values: list[str]
    total: int | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET


class CompleteResult(msgspec.Struct, rename="camel"):
    """The answer to completion/complete."""

    completion: Completion
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = "complete"


def first_values(values: Sequence[str]) -> Completion:
    """As many of `values` as one answer holds, and how many there are."""
    return Completion(list(values[:MAX_VALUES]), total=len(values), has_more=len(values) > MAX_VALUES)


def argument_of(kind: Literal["prompt", "template"], name: str, argument: str) -> str:
    """One text for an argument of a prompt, or a variable of a template."""
    return f"{argument} of {kind} {name}"
