"""`Rounds`: a call that needs several rounds, as far as this one goes.

A handler that asks for what is not known yet is stopped by `Suspended`, and its call ends with the questions
and a sealed journal. The client's next request brings the answers, and the handler runs again from its
beginning, on whichever node: what the journal knows is not done again.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import UNSET

from longreach.actor.askback import ask_back
from longreach.actor.asks import Ask, InputRequired
from longreach.actor.call import Cancelled, Failed
from longreach.actor.incarnation import is_asked_for
from longreach.errors import ConfigError, InvalidResult
from longreach.observe import event
from longreach.policy.journal import Diverged, Entry, Journal
from longreach.policy.sealing import StateRefused
from longreach.tasks import TaskSet
from longreach.wire import codes
from longreach.wire.digest import digest
from longreach.wire.inputs import InputRequest, InvalidResponses, decode_response, split_responses
from longreach.wire.values import decode_hook, encode

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending
    from longreach.actor.states import States
    from longreach.policy.states import Saved

T = TypeVar("T")
_log = logging.getLogger("longreach.actor.rounds")
_MAX_KEY = 128


class Suspended(BaseException):
    """The handler cannot go on in this round: let it pass, as a cancel."""


class Rounds:
    """One round of a call.

    Args:
        call: the call.
        saved: what was kept in the round before; None in the first one.
        responses: what the client answered, JSON by key.

    Attributes:
        pending: the questions that are still to be answered; if there are any, the round ends with them.
        refusal: how the call ends, whatever its handler does.
    """

    def __init__(
        self, call: Call, saved: Saved | None = None, responses: Mapping[str, msgspec.Raw] | None = None
    ) -> None:
        self.pending: dict[str, InputRequest] = {}
        self.refusal: Failed | None = None
        self.journal = Journal() if saved is None else Journal(saved.entries, strict=not saved.explicit)
        self.state = None if saved is None else saved.state
        self.responses = dict(responses or {})
        self._call = call
        self._is_first = saved is None
        self._did_something = False
        self._misfits: list[str] = []
        self._is_over = False
        self._is_shut = False
        self._cut: set[asyncio.Task[Any] | None] = set()
        self._steps: set[asyncio.Task[Any]] = set()
        self._tasks = TaskSet("steps")
        for key, response in self.responses.items():
            self.journal.answer(key, bytes(response))

    # What a handler asks for

    async def ask(self, asks: Mapping[str | None, Ask[Any]]) -> dict[str | None, Any]:
        """The answers to all of `asks`, by key; a key of None is made from the question.

        Raises:
            Suspended: one of them is not known yet, or cannot be had.
            ConfigError: a key was used before in this call.
        """
        self._check_open(also_while_asking=True)
        found: dict[str | None, Any] = {}
        missing: dict[str, InputRequest] = {}
        for given, ask in asks.items():
            data = encode(ask.request, order="deterministic")
            mark = digest(data)
            key = self._own_key(mark) if given is None else _checked(given)
            try:
                found[given] = self._answer(ask, Entry(key, "ask", self._is_ordered(), mark.encode()))
            except LookupError:
                missing[key] = ask.request
        if missing:
            self._suspend(missing)
        return found

    def _answer(self, ask: Ask[T], question: Entry) -> T:
        """The answer to a question, which is in the journal from now on.

        Raises:
            LookupError: there is none that fits.
        """
        entry = self._look_up(question)
        # Unasked answers count in the first round only: the client knew what would come.
        may_answer = question.key in self.responses and (entry is not None or self._is_first)
        sent = bytes(self.responses[question.key]) if may_answer else None
        kept = None if entry is None else entry.value
        # One that is kept may not fit either, if the handler did not come to it in the round that brought it.
        for value in (kept, sent):
            if value is None:
                continue
            try:
                answer = ask.read(question.key, value)
            except InvalidResponses as problem:
                if value == sent:
                    self._misfits.append(str(problem))
                continue
            self.journal.remember(msgspec.structs.replace(question, value=value))
            return answer
        self.journal.remember(question)
        raise LookupError(question.key)

    def _own_key(self, mark: str) -> str:
        """A key for a question that has none: the same in every round, even if tasks overtake each other."""
        key, number = f"ask-{mark[:10]}", 2
        while self.journal.is_seen(key):
            key, number = f"ask-{mark[:10]}-{number}", number + 1
        return key

    def _look_up(self, fresh: Entry) -> Entry | None:
        try:
            return self.journal.recall(fresh.key, fresh.kind, fresh.digest, ordered=fresh.ordered)
        except Diverged as problem:
            raise self._diverge(str(problem)) from None

    def input_responses(self) -> dict[str, Any]:
        """What the client answered, each as the result that it looks like; all else is left out."""
        found = {}
        for key, response in self.responses.items():
            with suppress(InvalidResponses):
                found[key] = decode_response(key, None, response)
        return found

    # What a handler does once

    async def step(self, key: str, function: Callable[[], Any], kind: Any) -> Any:
        """What `function` returned, in this round or in one before, as `kind`.

        Raises:
            Suspended: the round is over.
            ConfigError: the key was used before in this call.
            InvalidResult: the result has no JSON form, or is no `kind`.
        """
        self._check_open()
        entry = self._look_up(Entry(_checked(key), "step", self._is_ordered()))
        value = entry.value if entry is not None else None
        if value is None:
            value = await self._do(Entry(key, "step", self._is_ordered()), function)
        try:
            return msgspec.json.decode(value, type=kind, dec_hook=decode_hook)
        except msgspec.ValidationError as error:
            raise InvalidResult(f"the result of the step {key!r} does not fit its type: {error}") from None

    async def _do(self, entry: Entry, function: Callable[[], Any]) -> bytes:
        result = function()
        if not inspect.isawaitable(result):
            return self._done(entry, result)
        # In a task of its own: where a question elsewhere ends the round, what has begun is not torn apart.
        task = self._tasks.spawn(self._finish(entry, result), name=f"step {entry.key}")
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)
        try:
            done: bytes | BaseException = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not self._is_stopped():
                task.cancel()
                await asyncio.wait({task})
            raise
        if isinstance(done, BaseException):
            raise done
        return done

    async def _finish(self, entry: Entry, result: Awaitable[Any]) -> bytes | BaseException:
        """Do a step; what it raises is returned. Out of this task a SystemExit would end the event loop."""
        try:
            return self._done(entry, await result)
        except BaseException as error:
            if is_asked_for(error):
                raise
            return error

    def _done(self, entry: Entry, result: Any) -> bytes:
        try:
            value = encode(result)
        except (TypeError, ValueError, NotImplementedError, RecursionError) as error:
            raise InvalidResult(f"the result of the step {entry.key!r} has no JSON form: {error}") from error
        self.journal.remember(msgspec.structs.replace(entry, value=value))
        self._did_something = True
        return value

    # How the round ends

    def _check_open(self, *, also_while_asking: bool = False) -> None:
        """See to it that the handler may still do something.

        Raises:
            Suspended: it may not. Questions that are asked in the same turn of the loop, as by
                `asyncio.gather`, may still join those that are pending.
            ConfigError: it is in a step, or its call has ended.
        """
        task = asyncio.current_task()
        if task in self._steps:
            raise ConfigError("a step does one thing: do not ask, or begin a step, inside a step")
        if self._is_stopped():
            if not also_while_asking or self._is_shut or task in self._cut or self.refusal is not None:
                raise Suspended
        elif self._is_over:
            raise ConfigError("the call has ended: await what you start in a handler before it returns")

    def _is_stopped(self) -> bool:
        return bool(self.pending) or self.refusal is not None

    def _is_ordered(self) -> bool:
        return asyncio.current_task() is self._call.task

    def _suspend(self, missing: Mapping[str, InputRequest]) -> None:
        if not self.pending:
            asyncio.get_running_loop().call_soon(self._shut)
        self.pending.update(missing)
        self._cut.add(asyncio.current_task())
        raise Suspended

    def _shut(self) -> None:
        self._is_shut = True

    def _refuse(self, failed: Failed) -> Suspended:
        self.refusal = self.refusal or failed
        return Suspended()

    def _diverge(self, problem: str) -> Suspended:
        name = self._call.name
        event(_log, "replay.diverged", logging.WARNING, name=name, problem=problem)
        text = (
            f"{name}, run again, did not do what it did before: {problem}; "
            "make the request anew without requestState"
        )
        return self._refuse(Failed(codes.INTERNAL_ERROR, text, {"reason": "diverged"}))

    async def conclude(self, value: Any, states: States) -> Ending | None:
        """How the call ends, now that its handler has; None: with what the handler returned or raised.

        Steps that have begun end first, so that they are remembered; where nothing is to be remembered any
        more, they are cancelled.
        """
        self._is_over = True
        try:
            while self._is_stopped() and self._steps and not self._call.ended:
                await asyncio.wait(self._steps)
        finally:
            await self._tasks.close()
        if self._call.ended:  # nobody is told; but a suspension on its way out must crash nothing
            return Cancelled("suspended") if self._is_stopped() else None
        if self.refusal is not None:
            return self.refusal
        if self._misfits and not self._did_something:  # else a refusal would lose what was done just now
            return Failed(codes.INVALID_PARAMS, self._misfits[0], {"reason": "bad_response"})
        if self.pending:
            return ask_back(self._call, self.pending, self.journal.entries, states)
        if isinstance(value, InputRequired):
            return ask_back(self._call, value.requests, self.journal.entries, states, explicit=value)
        left = self.journal.left_over()
        if left:
            self._diverge(f"it did not come to {left[0]!r}")
        return self.refusal


def resume(call: Call, states: States) -> Rounds | Failed:
    """The round of a call that brings a request state or responses, or why it cannot be.

    Raises:
        ConfigError: there is no key ring, or `cryptography` is not installed.
    """
    params = call.params
    try:
        saved = None if params.request_state is UNSET else states.restore(call, params.request_state)
        responses = None if params.input_responses is UNSET else split_responses(params.input_responses)
    except StateRefused as error:
        level = logging.WARNING if error.reason == "unknown_key" else logging.DEBUG
        event(_log, "state.refused", level, name=call.name, caller=call.caller, reason=error.reason)
        return Failed(codes.INVALID_PARAMS, str(error), {"reason": f"state_{error.reason}"})
    except InvalidResponses as error:
        return Failed(codes.INVALID_PARAMS, str(error), {"reason": "bad_response"})
    return Rounds(call, saved, responses)


def _checked(key: str) -> str:
    if not 0 < len(key) <= _MAX_KEY:
        raise ConfigError(f"a key is a text of 1 to {_MAX_KEY} characters, not {key!r}")
    return key
