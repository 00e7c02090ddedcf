"""MCP 2026-07-28's input requests: what a server asks a client for in the middle of a request.

A result of type ``input_required`` carries requests; the client sends the same request again with the
results under the same keys, and with the request state as it came. Source: MCP 2026-07-28
basic/patterns/mrtr, client/elicitation, client/sampling, client/roots.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from longreach.wire.mcp import (
    AudioContent,
    ContentBlock,
    ImageContent,
    Role,
    TextContent,
    Tool,
)

Action = Literal["accept", "decline", "cancel"]
IncludeContext = Literal["none", "thisServer", "allServers"]
Scalar = str | int | float | bool | list[str]


class ElicitParams(msgspec.Struct, rename="camel", omit_defaults=True):
    """What the user is asked: a form with a flat schema, or a page to visit.

    Raises:
        ValueError: it is neither, or both.
    """

    message: str
    requested_schema: dict[str, Any] | UnsetType = UNSET
    mode: Literal["form", "url"] | UnsetType = UNSET
    url: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        by_url = self.mode == "url"
        if by_url == (self.url is UNSET) or by_url != (self.requested_schema is UNSET):
            raise ValueError("an elicitation has a requestedSchema, or mode url and a url")


class ToolUseContent(msgspec.Struct, tag="tool_use", tag_field="type", omit_defaults=True):
    """The model wants to use a tool."""

    id: str
    name: str
    input: dict[str, Any]
    meta: Any = msgspec.field(name="_meta", default=UNSET)


class ToolResultContent(
    msgspec.Struct, tag="tool_result", tag_field="type", rename="camel", omit_defaults=True
):
    """What that tool gave back."""

    tool_use_id: str
    content: list[ContentBlock]
    structured_content: Any = UNSET
    is_error: bool | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)


SamplingBlock = TextContent | ImageContent | AudioContent | ToolUseContent | ToolResultContent


class SamplingMessage(msgspec.Struct, omit_defaults=True):
    """One message to, or from, the client's model."""

    role: Role
    content: SamplingBlock | list[SamplingBlock]
    meta: Any = msgspec.field(name="_meta", default=UNSET)


class ModelHint(msgspec.Struct, omit_defaults=True):
    """A part of the name of a model that would do."""

    name: str | UnsetType = UNSET


class ModelPreferences(msgspec.Struct, rename="camel", omit_defaults=True):
    """Which model is wanted; priorities from 0 to 1."""

    hints: list[ModelHint] | UnsetType = UNSET
    cost_priority: float | UnsetType = UNSET
    speed_priority: float | UnsetType = UNSET
    intelligence_priority: float | UnsetType = UNSET


class ToolChoice(msgspec.Struct, omit_defaults=True):
    """Whether the model may, must or must not use tools."""

    mode: Literal["auto", "required", "none"] | UnsetType = UNSET


class CreateMessageParams(msgspec.Struct, rename="camel", omit_defaults=True):
    """What the client's model is asked."""

    messages: list[SamplingMessage]
    max_tokens: int
    model_preferences: ModelPreferences | UnsetType = UNSET
    system_prompt: str | UnsetType = UNSET
    include_context: IncludeContext | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    stop_sequences: list[str] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET


class ElicitRequest(msgspec.Struct, tag="elicitation/create", tag_field="method"):
    """Ask the user."""

    params: ElicitParams


class CreateMessageRequest(msgspec.Struct, tag="sampling/createMessage", tag_field="method"):
    """Ask the client's model."""

    params: CreateMessageParams


class ListRootsRequest(msgspec.Struct, tag="roots/list", tag_field="method", omit_defaults=True):
    """Ask which folders matter."""

    params: dict[str, Any] | UnsetType = UNSET


InputRequest = ElicitRequest | CreateMessageRequest | ListRootsRequest


class ElicitResult(msgspec.Struct, omit_defaults=True):
    """What the user did; `content` is there after ``"accept"`` of a form."""

    action: Action
    content: dict[str, Scalar | None] | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)


class CreateMessageResult(msgspec.Struct, rename="camel", omit_defaults=True):
    """What the client's model said."""

    role: Role
    content: SamplingBlock | list[SamplingBlock]
    model: str
    stop_reason: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)

    @property
    def text(self) -> str:
        """The text of it, all blocks together."""
        blocks = self.content if isinstance(self.content, list) else [self.content]
        return "".join(block.text for block in blocks if isinstance(block, TextContent))


class Root(msgspec.Struct, omit_defaults=True):
    """A folder or file of the client, by its ``file://`` URI."""

    uri: str
    name: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)


class ListRootsResult(msgspec.Struct, omit_defaults=True):
    """The folders that matter."""

    roots: list[Root]
    meta: Any = msgspec.field(name="_meta", default=UNSET)


InputResponse = ElicitResult | CreateMessageResult | ListRootsResult


class InputRequiredResult(msgspec.Struct, rename="camel", omit_defaults=True):
    """The request cannot be completed yet: answer `input_requests`, and send it again.

    Raises:
        ValueError: it has neither requests nor a state.
    """

    input_requests: dict[str, InputRequest] | UnsetType = UNSET
    request_state: str | UnsetType = UNSET
    meta: Any = msgspec.field(name="_meta", default=UNSET)
    result_type: str = msgspec.field(default_factory=partial(str, "input_required"))
    # A factory, because `omit_defaults` would leave a constant default out, and MCP requires the member.

    def __post_init__(self) -> None:
        if not self.input_requests and self.request_state is UNSET:
            raise ValueError("an input_required result has input requests, a request state, or both")


class InvalidResponses(ValueError):
    """`inputResponses` that cannot be taken; the text says which one, and why."""


_RESULTS: dict[str, type[InputResponse]] = {
    "elicitation/create": ElicitResult,
    "sampling/createMessage": CreateMessageResult,
    "roots/list": ListRootsResult,
}
_SIGNS: dict[str, type[InputResponse]] = {
    "action": ElicitResult,
    "role": CreateMessageResult,
    "roots": ListRootsResult,
}
_RAW = msgspec.json.Decoder(dict[str, dict[str, Raw]])


def required_capability(request: InputRequest) -> dict[str, Any]:
    """What a client must have stated for `request`, as `missing_capability` takes it."""
    if isinstance(request, ElicitRequest):
        return {"elicitation": {"url" if request.params.mode == "url" else "form": {}}}
    if isinstance(request, ListRootsRequest):
        return {"roots": {}}
    inner: dict[str, Any] = {}
    if request.params.tools is not UNSET or request.params.tool_choice is not UNSET:
        inner["tools"] = {}
    if request.params.include_context not in (UNSET, "none"):
        inner["context"] = {}
    return {"sampling": inner}


def split_responses(responses: bytes | Raw) -> dict[str, Raw]:
    """The JSON of each response by its key; what is in it is for `decode_response` to check.

    Raises:
        InvalidResponses: they are no object of objects.
    """
    try:
        _RAW.decode(responses)
        return msgspec.json.decode(responses, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidResponses("inputResponses must be an object that holds an object by each key") from None


def decode_response(key: str, method: str | None, response: bytes | Raw) -> InputResponse:
    """One response, as the result of a request with `method`; None: by what it looks like.

    Raises:
        InvalidResponses: it is no such result.
    """
    try:
        kind = _RESULTS[method] if method is not None else _kind_of(msgspec.json.decode(response))
        return msgspec.json.decode(response, type=kind)
    except (ValueError, RecursionError) as error:
        raise InvalidResponses(f"the response {key!r} cannot be read: {error}") from None


def _kind_of(response: Mapping[str, Any]) -> type[InputResponse]:
    for sign, kind in _SIGNS.items():
        if sign in response:
            return kind
    raise ValueError("it is no result of elicitation, sampling or roots")
