"""A foreign server of the legacy era: what it asks in the middle of a call becomes a round of this era.

The foreign call goes on waiting while the caller is asked, and the request that brings the answer comes
back to this node: its requestState begins with ``lr~<node>~``, by which clients and fronts know where to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from longreach.errors import ProtocolError
from longreach.observe import event
from longreach.wire import codes
from longreach.wire.mcp import LOG_LEVELS
from longreach_bridge.foreign import mapping
from longreach_bridge.foreign.handshake import Known
from longreach_bridge.foreign.lanes import Lanes
from longreach_bridge.foreign.parking import Parked, Parking, claim_of
from longreach_bridge.foreign.peer import Ask, ForeignCall, Params, Peer
from longreach_bridge.foreign.session import Ears, Relay, Session

if TYPE_CHECKING:
    from longreach.actor.context import Context
    from longreach.actor.raw import RawRequest
    from longreach_bridge.foreign.parking import Claim

_log = logging.getLogger("longreach.bridge")
_ELICIT = "elicitation/create"
_QUESTIONS = frozenset({_ELICIT, "sampling/createMessage", "roots/list"})
_KEY = "1"
_SUBSCRIBE_TIMEOUT_S = 10.0


class LegacySession(Session):
    """Serves requests by a server that was initialized.

    Args:
        peer: speaks with it; the handshake is done.
        known: what the foreign server has said of itself.
        ears: hear of what happens there.
        parked_s: how long a caller may take to answer, in seconds.
    """

    def __init__(self, peer: Peer, known: Known, ears: Ears, parked_s: float = 300.0) -> None:
        super().__init__(peer, known, ears)
        self._parking = Parking(self._expired, parked_s)
        self._lanes = Lanes(self._owned)
        self._running: set[ForeignCall] = set()
        self._subscribed: frozenset[str] = frozenset()
        self._level = len(LOG_LEVELS)

    async def serve(self, request: RawRequest) -> bytes:
        """Make the foreign call of a request, or go on with the one that waits for it.

        Raises:
            ProtocolError: it ended in a JSON-RPC error.
            Lost: the foreign server is gone.
        """
        params = msgspec.json.decode(request.params, type=dict[str, Raw])
        others, meta = mapping.split_meta(params)
        claim = claim_of(request, others)
        token = meta.pop("progressToken", None)
        relay = Relay(request.context, token)
        state = _state(others)
        parked = self._parking.take(state, claim) if state is not None else None
        if state is not None and parked is None:
            raise ProtocolError(
                codes.INVALID_PARAMS,
                "nothing waits for this requestState here: it was used, took too long, or the bridged server "
                "was restarted; make the request anew without it",
                {"reason": "invalid_request_state"},
            )
        if parked is not None and parked.call is not None:
            assert parked.ask is not None
            parked.call.on_note = relay
            return await self._go_on(parked.call, parked.ask, others, request.context, claim)
        await self._raise_level(request.context)
        call = self.peer.prepare(request.method, relay)
        sent = mapping.legacy_params(others, meta)
        return await self._run(call, request.context, claim, sent, token is not None)

    async def _run(
        self, call: ForeignCall, context: Context, claim: Claim, params: Params, wants_progress: bool
    ) -> bytes:
        try:
            await self._enter(call)
            await self.peer.send(call, params, wants_progress=wants_progress)
        except BaseException:
            await self._leave(call)
            raise
        return await self._outcome(call, context, claim)

    async def _go_on(
        self, call: ForeignCall, ask: Ask, params: Params, context: Context, claim: Claim
    ) -> bytes:
        """Give the foreign server the answer that it waits for."""
        responses = msgspec.json.decode(params.get("inputResponses", b"{}"), type=dict[str, Raw])
        answer = responses.get(_KEY)
        if answer is None:  # it was asked, and did not say: ask again
            return self._park(call, ask, context, claim)
        try:
            await self._enter(call)
        except BaseException:
            await self._leave(call)
            self.peer.cancel(call, "the caller waits no longer")
            raise
        self.peer.answer(ask, answer)
        return await self._outcome(call, context, claim)

    async def _outcome(self, call: ForeignCall, context: Context, claim: Claim) -> bytes:
        """What comes of a call in this round: its result, or a question for its caller."""
        try:
            outcome = await self._result_or_question(call, context, claim)
        except asyncio.CancelledError:
            self.peer.cancel(call, "the caller waits no longer")
            raise
        except ProtocolError as error:
            if error.code == mapping.URL_NEEDED:
                return self._visit(error, context, claim)
            raise
        finally:
            await self._leave(call)
        if isinstance(outcome, Ask):
            return self._park(call, outcome, context, claim)
        return mapping.complete_result(outcome)

    async def _result_or_question(self, call: ForeignCall, context: Context, claim: Claim) -> Raw | Ask:
        """The result, or the first question that this caller can be asked; others are refused."""
        while True:
            outcome = await call.next()
            if not isinstance(outcome, Ask):
                return outcome
            if not mapping.can_answer(outcome, context.meta):
                if outcome.method == "roots/list":
                    self.peer.answer(outcome, {"roots": []})
                else:
                    text = f"the caller does not answer {outcome.method}"
                    self.peer.refuse(outcome, codes.METHOD_NOT_FOUND, text)
            elif not self._parking.has_room(claim):
                self.peer.refuse(outcome, codes.INTERNAL_ERROR, "too many calls wait for an answer")
            else:
                return outcome

    def _park(self, call: ForeignCall, ask: Ask, context: Context, claim: Claim) -> bytes:
        call.on_note = None
        state = self._parking.put(Parked(call, ask, claim), context.node)
        return _input_required({_KEY: mapping.input_request(ask)}, state)

    def _visit(self, error: ProtocolError, context: Context, claim: Claim) -> bytes:
        """The user has to visit pages, and then the request is made again: no call waits meanwhile."""
        data = error.data if isinstance(error.data, dict) else {}
        wanted = [each for each in data.get("elicitations") or () if isinstance(each, dict)]
        asks = [Ask(0, _ELICIT, {key: mapping.encoded(one) for key, one in each.items()}) for each in wanted]
        if not asks or not all(mapping.can_answer(ask, context.meta) for ask in asks):
            raise ProtocolError(codes.INTERNAL_ERROR, str(error), error.data) from None
        state = self._parking.put(Parked(None, None, claim), context.node)
        requests = {str(number): mapping.input_request(ask) for number, ask in enumerate(asks, 1)}
        return _input_required(requests, state)

    # Who runs

    async def _enter(self, call: ForeignCall) -> None:
        call.may_ask = True
        await self._lanes.enter(call)
        self._running.add(call)

    async def _leave(self, call: ForeignCall) -> None:
        self._running.discard(call)
        await self._lanes.leave(call)

    async def close(self) -> None:
        """Let go of the foreign server; nothing of it is waited for any more."""
        self._parking.clear()
        self._lanes.clear()
        await super().close()

    def _expired(self, parked: Parked) -> None:
        event(_log, "foreign.answer_overdue", logging.WARNING, server=self.peer.name)
        if parked.call is not None:
            self.peer.cancel(parked.call, "its caller did not answer in time")

    # What the foreign server asks

    def asked(self, ask: Ask, call: ForeignCall | None) -> None:
        """The foreign server asks something: in the name of a call, or for itself."""
        if ask.method == "ping":
            self.peer.answer(ask, {})
        elif ask.method not in _QUESTIONS:
            self.peer.refuse(ask, codes.METHOD_NOT_FOUND, f"{ask.method} is not answered here")
        elif ask.method == "roots/list" and not self._running:  # for itself, when it has started
            self.peer.answer(ask, {"roots": []})
        elif call is not None:
            self._owned(ask, call)
        else:  # on pipes, and over HTTP on the stream that belongs to no call
            if not self._lanes.one_at_a_time:
                event(
                    _log,
                    "foreign.asks",
                    server=self.peer.name,
                    hint="its calls run one at a time from now on",
                )
            self._lanes.ask(ask)

    def _owned(self, ask: Ask, call: ForeignCall | None) -> None:
        """Ask the caller of `call`."""
        if call is None:
            self.peer.refuse(ask, codes.INTERNAL_ERROR, "the bridge cannot tell which call this is about")
        elif not call.ask(ask):
            self.peer.refuse(ask, codes.INTERNAL_ERROR, "nobody can be asked about this")

    # What is followed

    async def follow(self, uris: frozenset[str]) -> None:
        """Subscribe to these resources, and to no others; lists need no subscription.

        Raises:
            Lost: the foreign server is gone.
        """
        if not (self.known.capabilities.get("resources") or {}).get("subscribe"):
            return
        before, self._subscribed = self._subscribed, uris
        changes = [("resources/subscribe", uri) for uri in sorted(uris - before)]
        changes += [("resources/unsubscribe", uri) for uri in sorted(before - uris)]
        for method, uri in changes:
            try:
                _ = await self.peer.request(method, {"uri": uri}, _SUBSCRIBE_TIMEOUT_S)
            except (ProtocolError, TimeoutError) as error:
                fields = {"server": self.peer.name, "method": method, "reason": str(error)}
                event(_log, "foreign.subscribe_failed", logging.DEBUG, **fields)

    async def _raise_level(self, context: Context) -> None:
        """See to it that the foreign server logs what this caller wants to hear of."""
        wanted = None if context.meta is None else context.meta.log_level
        levels: list[str] = list(LOG_LEVELS)
        if not isinstance(wanted, str) or wanted not in levels or "logging" not in self.known.capabilities:
            return
        rank = levels.index(wanted)
        if rank < self._level:
            self._level = rank
            try:
                _ = await self.peer.request("logging/setLevel", {"level": wanted}, _SUBSCRIBE_TIMEOUT_S)
            except (ProtocolError, TimeoutError) as error:
                event(_log, "foreign.level_refused", logging.DEBUG, server=self.peer.name, reason=str(error))

    def _envelope(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return params


def _state(params: Params) -> str | None:
    try:
        return msgspec.json.decode(params.get("requestState", b"null"), type=str | None)
    except msgspec.ValidationError:
        raise ProtocolError(codes.INVALID_PARAMS, "requestState must be a string") from None


def _input_required(requests: dict[str, Any], state: str) -> bytes:
    result = {"resultType": "input_required", "inputRequests": requests, "requestState": state}
    return msgspec.json.encode(result)
