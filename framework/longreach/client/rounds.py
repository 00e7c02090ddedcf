"""Answering what a server asks for in the middle of a request, and sending the request again with it.

One request may take several rounds. Each is a request of its own, with retries of its own; the deadline is
that of the whole. Source: MCP 2026-07-28 basic/patterns/mrtr; docs/binding.md M2.6.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from longreach.client.plan import Outcome
from longreach.errors import CallTimeout, ConfigError, InputNeeded, RemoteError
from longreach.policy.backoff import Backoff
from longreach.threads import ANSWERS, in_thread
from longreach.wire.inputs import (
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    InputResponse,
    ListRootsResult,
    Root,
)
from longreach.wire.mcp import TextContent
from longreach.wire.values import encode

if TYPE_CHECKING:
    from longreach.client.options import CallOptions

R = TypeVar("R")
MAX_ROUNDS = 16
_UNASKED = Backoff(first_s=0.05, factor=2.0, max_s=1.0, jitter=0.5)
"""Between rounds in which nothing is asked for: a server that only wants to be asked again later."""
_NODE_STATE = re.compile(r"lr~([^~]+)~")
UNKNOWN_MODEL = "unknown"


def state_node(request_state: str | None) -> str | None:
    """``identity.instance`` of the one node that can take a request state back; None: any can.

    Source: docs/binding.md M2.6. Whatever else is in a state is its server's.
    """
    match = _NODE_STATE.match(request_state) if request_state is not None else None
    return match[1] if match else None


def encode_round(responses: Mapping[str, Any] | None, request_state: str | None) -> bytes:
    """The members of `params` that make a request the next round of another, each after a comma.

    Raises:
        ConfigError: a response has no JSON form.
    """
    members = b""
    try:
        if responses is not None:
            members += b',"inputResponses":' + encode(dict(responses))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the responses cannot be written as JSON: {error}") from error
    if request_state is not None:
        members += b',"requestState":' + msgspec.json.encode(request_state)
    return members


async def converse(
    first: Outcome[R | InputRequiredResult],
    again: Callable[[bytes, str | None], Awaitable[Outcome[R | InputRequiredResult]]],
    options: CallOptions,
    target: str,
    left_s: Callable[[], float],
) -> Outcome[R]:
    """Answer what is asked for, as often as it is, until there is a result.

    Args:
        first: how the first round ended.
        again: sends the request with (further members of `params`, the node that must take it or None).
        options: has the functions that answer.
        target: for messages.
        left_s: how much of the request's time is left, in seconds.

    Raises:
        InputNeeded: no function answers one of the questions.
        CallTimeout: the time was up before everything was answered.
        RemoteError: it never ends.
    """
    outcome, attempts, retries = first, first.attempts, first.retries
    for number in range(MAX_ROUNDS):
        needed = outcome.result
        if not isinstance(needed, InputRequiredResult):
            return Outcome(needed, attempts, retries)
        state = needed.request_state if isinstance(needed.request_state, str) else None
        requests = needed.input_requests or {}
        limit = asyncio.timeout(left_s())
        try:
            async with limit:
                responses = await _answer_all(requests, state, options, target)
                if not requests:
                    await asyncio.sleep(_UNASKED.delay(number + 1, random.random))
        except TimeoutError:
            if not limit.expired():  # a function's own
                raise
            raise CallTimeout(
                f"{target} asked for input, and its time was up before that came; allow more with timeout_s",
                delivered="yes", reason="input",
            ) from None  # fmt: skip
        outcome = await again(encode_round(responses, state), state_node(state))
        attempts += outcome.attempts
        retries += outcome.retries
    if not isinstance(outcome.result, InputRequiredResult):
        return Outcome(outcome.result, attempts, retries)
    raise RemoteError(
        f"{target} asked for input {MAX_ROUNDS} times, and still asks; it was given up", reason="rounds"
    )


async def _answer_all(
    requests: Mapping[str, InputRequest], state: str | None, options: CallOptions, target: str
) -> dict[str, InputResponse] | None:
    if not requests:
        return None
    unanswered = [key for key, request in requests.items() if _answerer(request, options) is None]
    if unanswered:
        what = ", ".join(sorted({_OPTIONS[_kind(requests[key])] for key in unanswered}))
        raise InputNeeded(
            f"{target} asks for input that nothing here answers: give it {what}", requests, state
        )
    return {key: await _answer(request, options) for key, request in requests.items()}


_OPTIONS = {"form": "on_elicit", "url": "on_url", "sampling": "on_sample", "roots": "on_roots"}


def _kind(request: InputRequest) -> str:
    if isinstance(request, ElicitRequest):
        return "url" if request.params.mode == "url" else "form"
    return "sampling" if isinstance(request, CreateMessageRequest) else "roots"


def _answerer(request: InputRequest, options: CallOptions) -> Callable[..., Any] | None:
    return cast("Callable[..., Any] | None", getattr(options, _OPTIONS[_kind(request)]))


async def _answer(request: InputRequest, options: CallOptions) -> InputResponse:
    function = _answerer(request, options)
    assert function is not None
    if isinstance(request, ElicitRequest):
        return elicited(await _run(function, request.params))
    if isinstance(request, CreateMessageRequest):
        return sampled(await _run(function, request.params))
    return listed(await _run(function))


async def _run(function: Callable[..., Any], *args: Any) -> Any:
    """Call it; a plain function may block, as people do, and so has a thread."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object that is called is asked what it does
    ):
        return await function(*args)
    answer = await in_thread(ANSWERS, function, *args)
    return await answer if inspect.isawaitable(answer) else answer


def elicited(answer: Any) -> ElicitResult:
    """What `on_elicit` or `on_url` returned, as MCP has it.

    Raises:
        ConfigError: it is nothing of the kind.
    """
    match answer:
        case ElicitResult():
            return answer
        case None:
            return ElicitResult("cancel")
        case bool():
            return ElicitResult("accept" if answer else "decline")
        case _:
            pass
    try:
        return ElicitResult("accept", msgspec.convert(msgspec.to_builtins(answer), dict[str, Any]))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"on_elicit returns a dict, True, False, None or an ElicitResult: {error}"
        ) from error


def sampled(answer: Any) -> CreateMessageResult:
    """What `on_sample` returned, as MCP has it.

    Raises:
        ConfigError: it is nothing of the kind.
    """
    if isinstance(answer, CreateMessageResult):
        return answer
    if isinstance(answer, str):
        return CreateMessageResult("assistant", TextContent(answer), UNKNOWN_MODEL, "endTurn")
    raise ConfigError(f"on_sample returns text or a CreateMessageResult, not {type(answer).__name__}")


def listed(answer: Any) -> ListRootsResult:
    """What `on_roots` returned, as MCP has it.

    Raises:
        ConfigError: it is nothing of the kind.
    """
    if isinstance(answer, ListRootsResult):
        return answer
    if not isinstance(answer, list | tuple):
        raise ConfigError(f"on_roots returns a list of URIs or Root, not {type(answer).__name__}")
    return ListRootsResult([each if isinstance(each, Root) else Root(str(each)) for each in answer])
