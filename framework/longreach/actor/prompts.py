"""Prompts: from a function to a definition, and from what it returns to messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from longreach.actor.call import Completed
from longreach.actor.context import Context
from longreach.actor.options import PromptOptions, kind_of
from longreach.actor.results import content_block
from longreach.actor.spec import HandlerSpec, Named, listed_as
from longreach.errors import DeclarationError, InvalidResult
from longreach.wire.mcp import Role
from longreach.wire.prompts import GetPromptResult, Prompt, PromptArgument, PromptMessage
from longreach.wire.schema import HandlerSchema, InvalidArguments, Problem, decode_texts, inspect_handler

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending

_texts = msgspec.json.Decoder(dict[str, str] | None)


class Message:
    """A message of a prompt: text, `Image`, `Audio` or a content block, said by `role`.

    Raises:
        InvalidResult: `content` is no content.
    """

    def __init__(self, content: Any, role: Role = "user") -> None:
        block = content_block(content)
        if block is None:
            raise InvalidResult(f"a {type(content).__name__} is no content of a message")
        self.sent = PromptMessage(role, block)


class PromptSpec(HandlerSpec):
    """A declared prompt.

    Attributes:
        definition: what MCP says of it.
        schema: from texts to the function's arguments.
    """

    def __init__(
        self,
        owner: Named,
        definition: Prompt,
        schema: HandlerSchema,
        function: Callable[..., Any],
        **run: Any,
    ) -> None:
        super().__init__(owner, "prompt", definition.name, function, **run)
        self.definition = definition
        self.schema = schema
        self.listed = listed_as(definition)
        self.context_parameter = schema.context_parameter

    def read(self, call: Call) -> dict[str, Any]:
        """The arguments, as the function's signature has them."""
        try:
            texts = _texts.decode(call.params.arguments) or {}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidArguments([Problem("", "the arguments of a prompt are texts, by name")]) from None
        return decode_texts(self.schema, texts)

    def completed(self, value: Any, call: Call) -> Ending:
        """The messages for `value`."""
        return Completed(to_prompt(value, self.schema.description))


def prompt_spec(
    owner: Named, function: Callable[..., Any], stated: PromptOptions, *, is_method: bool
) -> PromptSpec:
    """The spec of a function as a prompt.

    Raises:
        DeclarationError: it cannot be one.
    """
    name = str(stated.name or getattr(function, "__name__", ""))
    if not name:
        raise DeclarationError("a prompt needs a name: name=...")
    schema = inspect_handler(function, context_type=Context, skip_self=is_method, has_result_schema=False)
    arguments = [
        PromptArgument(p.name, description=p.description or UNSET, required=p.required)
        for p in schema.parameters
    ]
    definition = Prompt(
        name=name,
        description=stated.description or schema.description or UNSET,
        arguments=arguments or UNSET,
        **stated.shown(),
    )
    kind = kind_of(function, process=False, is_method=is_method)
    return PromptSpec(owner, definition, schema, function, kind=kind, **stated.running())


def to_prompt(value: Any, description: str | None = None) -> GetPromptResult:
    """The result for what a prompt's function returned: text or content, a message, or a list of them.

    Raises:
        InvalidResult: it is none of them.
    """
    if isinstance(value, GetPromptResult):
        value.messages = [_message(one) for one in value.messages]
        return value
    several = value if isinstance(value, list | tuple) else [value]
    return GetPromptResult([_message(one) for one in several], description=description or UNSET)


def _message(value: Any) -> PromptMessage:
    if isinstance(value, PromptMessage):
        return value
    if isinstance(value, Message):
        return value.sent
    if isinstance(value, Mapping):
        try:
            return Message(value["content"], value.get("role", "user")).sent
        except (KeyError, InvalidResult):
            return _converted(value)
    return Message(value).sent


def _converted(value: Mapping[str, Any]) -> PromptMessage:
    try:
        message: PromptMessage = msgspec.convert(dict(value), PromptMessage)
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidResult(f"this is no message of a prompt: {error}") from None
    return message
