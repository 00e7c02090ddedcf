"""What of a `Context` lets a handler ask its caller for something, and do things once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec
from msgspec import UNSET

from longreach.actor.asks import Ask, Elicit, Elicited, ElicitUrl, Roots, Sample
from longreach.actor.rounds import Rounds
from longreach.errors import ConfigError
from longreach.wire.capabilities import missing_capability

if TYPE_CHECKING:
    from longreach.actor.call import Call
    from longreach.actor.context import Place
    from longreach.actor.states import States
    from longreach.wire.inputs import (
        CreateMessageResult,
        IncludeContext,
        ModelPreferences,
        Root,
        SamplingMessage,
        ToolChoice,
    )
    from longreach.wire.mcp import Tool

T = TypeVar("T")


class Interactive:
    """A call whose handler may ask: it is run again, from its beginning, when the answers are there.

    Each question ends the run; the next one, on any node, gets the answer from the same line. So what must
    happen once goes into a `step`, and everything else is done again in each round.
    """

    __slots__ = ()

    _call: Call
    _place: Place
    _loop: asyncio.AbstractEventLoop

    @overload
    def elicit(
        self, message: str, schema: Mapping[str, Any] | None = ..., *, key: str | None = ...
    ) -> Coroutine[Any, Any, Elicited[dict[str, Any]]]: ...
    @overload
    def elicit(
        self, message: str, schema: type[T], *, key: str | None = ...
    ) -> Coroutine[Any, Any, Elicited[T]]: ...
    @overload
    def elicit(
        self, message: str, schema: Any, *, key: str | None = ...
    ) -> Coroutine[Any, Any, Elicited[Any]]: ...
    def elicit(
        self, message: str, schema: Any = None, *, key: str | None = None
    ) -> Coroutine[Any, Any, Elicited[Any]]:
        """Ask the user to fill in a form; never for secrets, which `elicit_url` is for.

        Args:
            message: why, for the user.
            schema: what is asked for: a dataclass, TypedDict, Struct or pydantic model of plain values and
                choices, one such type (``bool``, ``Literal[...]``), a flat JSON Schema, or None: consent.
            key: names the question among those of this call; otherwise it is made from the question itself.

        Returns:
            What the user did, with what was filled in as a `schema`.

        Raises:
            ConfigError: no form can ask for that, the key was used before, or the handler is not async.
        """
        return self._one(Elicit(message, schema), key)

    def elicit_url(
        self, message: str, url: str, *, key: str | None = None
    ) -> Coroutine[Any, Any, Elicited[None]]:
        """Ask the user to visit a page, for what must not pass through the client.

        ``"accept"`` means consent to visit it: look up for yourself what was done there.
        """
        return self._one(ElicitUrl(message, url), key)

    def sample(
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
        key: str | None = None,
    ) -> Coroutine[Any, Any, CreateMessageResult]:
        """Ask the client's model; `CreateMessageResult.text` is what it said.

        Args:
            messages: one or several; a text is the user's.
            max_tokens: as long as the answer may be.
            system_prompt: the client may change or ignore it, as most of what follows.
            temperature: how much is left to chance.
            stop_sequences: where the answer ends.
            model_preferences: parts of the names of models that would do, or priorities.
            include_context: what else the model is shown.
            metadata: for the model's provider.
            tools: what the model may use; the client must have stated that it can.
            tool_choice: whether it must.
            key: as for `elicit`.
        """
        ask = Sample(
            messages,
            max_tokens=max_tokens,
            system_prompt=system_prompt,
            temperature=temperature,
            stop_sequences=stop_sequences,
            model_preferences=model_preferences,
            include_context=include_context,
            metadata=metadata,
            tools=tools,
            tool_choice=tool_choice,
        )
        return self._one(ask, key)

    def roots(self, *, key: str | None = None) -> Coroutine[Any, Any, list[Root]]:
        """Ask which folders and files of the client matter."""
        return self._one(Roots(), key)

    def ask(self, asks: Mapping[str, Ask[Any]]) -> Coroutine[Any, Any, dict[str, Any]]:
        """Ask for several things in one round: `Elicit`, `ElicitUrl`, `Sample`, `Roots`, by keys of your own.

        Returns:
            The answers by the same keys.
        """
        rounds = self._rounds("ask")

        async def all_of_them() -> dict[str, Any]:
            return {str(key): answer for key, answer in (await rounds.ask(dict(asks.items()))).items()}

        return all_of_them()

    @overload
    def step(self, key: str, function: Callable[[], Any]) -> Coroutine[Any, Any, Any]: ...
    @overload
    def step(self, key: str, function: Callable[[], Any], *, type: type[T]) -> Coroutine[Any, Any, T]: ...
    @overload
    def step(self, key: str, function: Callable[[], Any], *, type: Any) -> Coroutine[Any, Any, Any]: ...
    def step(self, key: str, function: Callable[[], Any], *, type: Any = Any) -> Coroutine[Any, Any, Any]:
        """Do something once: in later rounds its result is remembered, and `function` is not called.

        Args:
            key: names the step among those of this call.
            function: without arguments; plain or async. A plain one runs in the event loop: it must be quick.
            type: what the result is decoded to, which must have a JSON form; otherwise plain values.

        Returns:
            The result, after a round trip through JSON. What `function` raises is not remembered.
        """
        return self._rounds("step").step(key, function, type)

    @property
    def input_responses(self) -> dict[str, Any]:
        """The answers to what the handler asked for with `InputRequired`, by key; empty in the first round.

        Each is an `ElicitResult`, `CreateMessageResult` or `ListRootsResult` of `longreach.wire.inputs`.
        """
        rounds = self._call.rounds
        return {} if rounds is None else rounds.input_responses()

    @property
    def request_state(self) -> Any:
        """The state that the handler gave to `InputRequired`; None in the first round."""
        rounds = self._call.rounds
        return None if rounds is None or rounds.state is None else msgspec.json.decode(rounds.state)

    def can(self, capability: str, *modes: str) -> bool:
        """Whether the client has stated a capability: ``can("sampling")``, ``can("elicitation", "url")``."""
        required: dict[str, Any] = {capability: {mode: {} for mode in modes}}
        return missing_capability(self._call.params.meta, required) is None

    @property
    def client_capabilities(self) -> dict[str, Any] | None:
        """What the client has stated that it can do, as MCP has it; None if it has stated nothing."""
        meta = self._call.params.meta
        stated = UNSET if meta is UNSET else meta.client_capabilities
        return None if stated is UNSET else stated

    @property
    def sealer(self) -> States:
        """Seals with the keys that the nodes of this server share; for servers with states of their own."""
        return self._place.states

    def _one(self, ask: Ask[T], key: str | None) -> Coroutine[Any, Any, T]:
        rounds = self._rounds("elicit, sample and roots")

        async def one() -> T:
            answer: T = (await rounds.ask({key: ask}))[key]
            return answer

        return one()

    def _rounds(self, what: str) -> Rounds:
        """This call's rounds.

        Raises:
            ConfigError: the handler is a plain function, or asks of another request than MCP allows.
        """
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if not here:
            raise ConfigError(
                f"Context.{what} needs an async handler; declare it `async def`, or return InputRequired(...)"
            )
        call = self._call
        if not call.spec.can_ask:
            raise ConfigError(f"Context.{what} is not for {call.spec.method} here: MCP has no answer to it")
        if call.rounds is None:
            call.rounds = Rounds(call)
        return call.rounds
