"""What a handler can ask its caller for, and what it gets back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import msgspec
from msgspec import UNSET, Raw

from longreach.errors import ConfigError
from longreach.wire.forms import InvalidContent, form_of
from longreach.wire.inputs import (
    Action,
    CreateMessageParams,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitParams,
    ElicitRequest,
    ElicitResult,
    IncludeContext,
    InputRequest,
    InvalidResponses,
    ListRootsRequest,
    ListRootsResult,
    ModelHint,
    ModelPreferences,
    Root,
    SamplingMessage,
    ToolChoice,
    decode_response,
)
from longreach.wire.mcp import TextContent, Tool

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Elicited(Generic[T_co]):
    """What the user did.

    Attributes:
        action: ``"accept"``, ``"decline"``, or ``"cancel"``: closed without an answer.
        content: what the user filled in, as what was asked for; None unless a form was accepted.
    """

    action: Action
    content: T_co | None = None

    @property
    def accepted(self) -> bool:
        """Whether the user accepted."""
        return self.action == "accept"


class Ask(ABC, Generic[T_co]):
    """Something to ask the caller for.

    Attributes:
        request: as MCP has it.
    """

    request: InputRequest

    @abstractmethod
    def read(self, key: str, response: bytes | Raw) -> T_co:
        """The answer, as the handler gets it.

        Raises:
            InvalidResponses: it is no answer to this.
        """


class Elicit(Ask[Elicited[T]]):
    """Ask the user to fill in a form; see `Context.elicit`."""

    @overload
    def __init__(
        self: Elicit[dict[str, Any]], message: str, schema: Mapping[str, Any] | None = ...
    ) -> None: ...
    @overload
    def __init__(self: Elicit[T], message: str, schema: type[T]) -> None: ...
    @overload
    def __init__(self: Elicit[Any], message: str, schema: Any) -> None: ...
    def __init__(self, message: str, schema: Any = None) -> None:
        form = form_of(schema)
        self.request: InputRequest = ElicitRequest(ElicitParams(message, form.schema, "form"))
        self._form = form

    def read(self, key: str, response: bytes | Raw) -> Elicited[T]:
        """What the user did, and filled in."""
        result = decode_response(key, "elicitation/create", response)
        assert isinstance(result, ElicitResult)
        if result.action != "accept":
            return Elicited(result.action)
        try:
            return Elicited("accept", self._form.read({} if result.content is UNSET else result.content))
        except InvalidContent as problem:
            raise InvalidResponses(f"the answer to {key!r} does not fit: {problem}") from None


class ElicitUrl(Ask[Elicited[None]]):
    """Ask the user to visit a page; see `Context.elicit_url`."""

    def __init__(self, message: str, url: str) -> None:
        self.request: InputRequest = ElicitRequest(ElicitParams(message, mode="url", url=url))

    def read(self, key: str, response: bytes | Raw) -> Elicited[None]:
        """Whether the user consented to visit it."""
        result = decode_response(key, "elicitation/create", response)
        assert isinstance(result, ElicitResult)
        return Elicited(result.action)


class Sample(Ask[CreateMessageResult]):
    """Ask the client's model; see `Context.sample`."""

    def __init__(
        self,
        messages: str | Sequence[str | SamplingMessage],
        *,
        max_tokens: int,
        system_prompt: str | None = None,
        temperature: float | None = None,
        stop_sequences: Sequence[str] | None = None,
        model_preferences: ModelPreferences | Sequence[str] | None = None,
        include_context: IncludeContext | None = None,
        metadata: Mapping[str, Any] | None = None,
        tools: Sequence[Tool] | None = None,
        tool_choice: ToolChoice | None = None,
    ) -> None:
        said = [messages] if isinstance(messages, str) else messages
        preferences = model_preferences
        if preferences is not None and not isinstance(preferences, ModelPreferences):
            hints = [preferences] if isinstance(preferences, str) else preferences
            preferences = ModelPreferences([ModelHint(hint) for hint in hints])
        self.request: InputRequest = CreateMessageRequest(
            CreateMessageParams(
                messages=[_message(one) for one in said],
                max_tokens=max_tokens,
                model_preferences=UNSET if preferences is None else preferences,
                system_prompt=UNSET if system_prompt is None else system_prompt,
                include_context=UNSET if include_context is None else include_context,
                temperature=UNSET if temperature is None else temperature,
                stop_sequences=UNSET if stop_sequences is None else list(stop_sequences),
                metadata=UNSET if metadata is None else dict(metadata),
                tools=UNSET if tools is None else list(tools),
                tool_choice=UNSET if tool_choice is None else tool_choice,
            )
        )

    def read(self, key: str, response: bytes | Raw) -> CreateMessageResult:
        """What the model said."""
        result = decode_response(key, "sampling/createMessage", response)
        assert isinstance(result, CreateMessageResult)
        return result


class Roots(Ask[list[Root]]):
    """Ask which folders of the client matter; see `Context.roots`."""

    def __init__(self) -> None:
        self.request: InputRequest = ListRootsRequest()

    def read(self, key: str, response: bytes | Raw) -> list[Root]:
        """The folders."""
        result = decode_response(key, "roots/list", response)
        assert isinstance(result, ListRootsResult)
        return result.roots


class InputRequired:
    """What a handler returns to ask explicitly: it is called again with the answers, from its beginning.

    The next call finds the answers in `Context.input_responses`, and `state` in `Context.request_state`.

    Args:
        requests: what is asked, by keys of your own: `Elicit`, `ElicitUrl`, `Sample`, `Roots`, or MCP's JSON.
        state: any JSON value; it is sealed, and comes back.

    Raises:
        ConfigError: it has neither requests nor a state, or a request is none.
    """

    def __init__(
        self,
        requests: Mapping[str, Ask[Any] | InputRequest | Mapping[str, Any]] | None = None,
        *,
        state: Any = None,
    ) -> None:
        self.requests = {key: _request(key, one) for key, one in (requests or {}).items()}
        self.state = state
        if not self.requests and state is None:
            raise ConfigError("InputRequired says what is required: pass requests, a state, or both")

    def __repr__(self) -> str:
        return f"InputRequired({list(self.requests)})"


def _message(said: str | SamplingMessage) -> SamplingMessage:
    return SamplingMessage("user", TextContent(said)) if isinstance(said, str) else said


def _request(key: str, one: Ask[Any] | InputRequest | Mapping[str, Any]) -> InputRequest:
    if isinstance(one, Ask):
        return one.request
    try:
        data = one if isinstance(one, Mapping) else msgspec.to_builtins(one)
        converted: InputRequest = msgspec.convert(data, InputRequest)
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigError(f"the request {key!r} is none that a client can answer: {error}") from None
    return converted
