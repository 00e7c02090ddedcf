"""A call that asks its caller in the middle, over the requests of the mesh that it takes.

What asks is a handler that goes on running: at a foreign server of the legacy era, or in this process. A
question ends the request in the mesh with ``input_required``; whatever asked waits, bounded, for the
request that brings the answer. That one comes back to this node, because its requestState begins with
``lr~<node>~``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Raw

from longreach.errors import ProtocolError
from longreach.observe import event
from longreach.wire import codes
from longreach_bridge.foreign import mapping
from longreach_bridge.foreign.calls import Ask, ForeignCall, Params
from longreach_bridge.foreign.parking import PREFIX, Parked, Parking

if TYPE_CHECKING:
    from longreach.actor.context import Context
    from longreach_bridge.foreign.parking import Claim

_log = logging.getLogger("longreach.bridge")
_KEY = "1"
ELICIT = "elicitation/create"
QUESTIONS = frozenset({ELICIT, "sampling/createMessage", "roots/list"})
"""What a caller can be asked."""
_TTL_S = 300.0


class Other(Protocol):
    """Whoever asks."""

    def answer(self, ask: Ask, result: Any) -> None:
        """Give it what it asked for."""
        ...

    def refuse(self, ask: Ask, code: int, message: str) -> None:
        """Tell it that it cannot have that."""
        ...

    def cancel(self, call: ForeignCall, reason: str) -> None:
        """Tell it that nobody waits for `call` any more."""
        ...


class Turns:
    """The calls that may ask.

    Args:
        name: for logs.
        other: asks.
        ttl_s: how long a caller may take to answer, in seconds.
    """

    def __init__(self, name: str, other: Other, ttl_s: float = _TTL_S) -> None:
        self._name = name
        self._other = other
        self._parking = Parking(self._expired, ttl_s)

    def resume(self, params: Params, claim: Claim) -> Parked | None:
        """What waits for this request; None: it is no request that brings an answer.

        Raises:
            ProtocolError: it brings one that nothing waits for.
        """
        state = _state(params)
        if state is None or not state.startswith(PREFIX):
            return None
        parked = self._parking.take(state, claim)
        if parked is None:
            raise ProtocolError(
                codes.INVALID_PARAMS,
                "nothing waits for this requestState here: it was used, took too long, or the server was "
                "restarted; make the request anew without it",
                {"reason": "invalid_request_state"},
            )
        return parked

    async def outcome(self, call: ForeignCall, context: Context, claim: Claim) -> Raw | bytes:
        """What comes of `call` in this turn: its result as it is, or a whole ``input_required`` result.

        Raises:
            ProtocolError: it ended in a JSON-RPC error.
            Lost: the foreign server is gone.
        """
        try:
            outcome = await self._result_or_question(call, context, claim)
        except asyncio.CancelledError:
            self._other.cancel(call, "the caller waits no longer")
            raise
        except ProtocolError as error:
            if error.code == mapping.URL_NEEDED:
                return self._visit(error, context, claim)
            raise
        return self.park(call, outcome, context, claim) if isinstance(outcome, Ask) else outcome

    def park(self, call: ForeignCall, ask: Ask, context: Context, claim: Claim) -> bytes:
        """End the turn with a question."""
        call.on_note = None
        state = self._parking.put(Parked(call, ask, claim), context.node)
        return _input_required({_KEY: mapping.input_request(ask)}, state)

    def answer(self, ask: Ask, params: Params) -> bool:
        """Pass the answer in `params` on to whom it is for; False: there is none."""
        responses = msgspec.json.decode(params.get("inputResponses", b"{}"), type=dict[str, Raw])
        answer = responses.get(_KEY)
        if answer is not None:
            self._other.answer(ask, answer)
        return answer is not None

    def clear(self) -> None:
        """Forget everything: whoever asked is gone."""
        self._parking.clear()

    async def _result_or_question(self, call: ForeignCall, context: Context, claim: Claim) -> Raw | Ask:
        """The result, or the first question that this caller can be asked; others are refused."""
        while True:
            outcome = await call.next()
            if not isinstance(outcome, Ask):
                return outcome
            if not mapping.can_answer(outcome, context.meta):
                if outcome.method == "roots/list":
                    self._other.answer(outcome, {"roots": []})
                else:
                    text = f"the caller does not answer {outcome.method}"
                    self._other.refuse(outcome, codes.METHOD_NOT_FOUND, text)
            elif not self._parking.has_room(claim):
                self._other.refuse(outcome, codes.INTERNAL_ERROR, "too many calls wait for an answer")
            else:
                return outcome

    def _visit(self, error: ProtocolError, context: Context, claim: Claim) -> bytes:
        """The user has to visit pages, and then the request is made again: no call waits meanwhile."""
        data = error.data if isinstance(error.data, dict) else {}
        said = data.get("elicitations")
        wanted = [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []
        asks = [Ask(0, ELICIT, {key: mapping.encoded(one) for key, one in each.items()}) for each in wanted]
        if not asks or not all(mapping.can_answer(ask, context.meta) for ask in asks):
            raise ProtocolError(codes.INTERNAL_ERROR, str(error), error.data) from None
        state = self._parking.put(Parked(None, None, claim), context.node)
        requests = {str(number): mapping.input_request(ask) for number, ask in enumerate(asks, 1)}
        return _input_required(requests, state)

    def _expired(self, parked: Parked) -> None:
        event(_log, "question.overdue", server=self._name)
        if parked.call is not None:
            self._other.cancel(parked.call, "its caller did not answer in time")


def _state(params: Params) -> str | None:
    try:
        return msgspec.json.decode(params.get("requestState", b"null"), type=str | None)
    except msgspec.ValidationError:
        raise ProtocolError(codes.INVALID_PARAMS, "requestState must be a string") from None


def _input_required(requests: Mapping[str, Any], state: str) -> bytes:
    result = {"resultType": "input_required", "inputRequests": requests, "requestState": state}
    return msgspec.json.encode(result)
