"""A foreign server of the legacy era: its sessions and questions as requests and rounds of this era."""

from __future__ import annotations

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
from longreach_bridge.foreign.calls import Ask, ForeignCall, Params
from longreach_bridge.foreign.handshake import Known
from longreach_bridge.foreign.lanes import Lanes
from longreach_bridge.foreign.parking import Parked, claim_of
from longreach_bridge.foreign.peer import Peer
from longreach_bridge.foreign.session import Ears, Relay, Session
from longreach_bridge.foreign.turns import QUESTIONS, Turns

if TYPE_CHECKING:
    from longreach.actor.context import Context
    from longreach.actor.raw import RawRequest
    from longreach_bridge.foreign.parking import Claim

_log = logging.getLogger("longreach.bridge")
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
        self._turns = Turns(peer.name, peer, parked_s)
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
        parked = self._turns.resume(others, claim)
        if parked is not None and parked.call is not None:
            return await self._go_on(parked, others, relay, request.context, claim)
        await self._raise_level(request.context)
        call = self.peer.prepare(request.method, relay)
        call.may_ask = True
        sent = mapping.legacy_params(others, meta)
        try:
            await self._enter(call)
            await self.peer.send(call, sent, wants_progress=token is not None)
            return _whole(await self._turns.outcome(call, request.context, claim))
        finally:
            await self._leave(call)

    async def _go_on(
        self, parked: Parked, params: Params, relay: Relay, context: Context, claim: Claim
    ) -> bytes:
        """Give the foreign server the answer that it waits for."""
        call, ask = parked.call, parked.ask
        assert call is not None
        assert ask is not None
        call.on_note = relay
        try:
            try:
                await self._enter(call)
            except BaseException:
                self.peer.cancel(call, "the caller waits no longer")
                raise
            if not self._turns.answer(ask, params):  # it was asked, and did not say: ask again
                return self._turns.park(call, ask, context, claim)
            return _whole(await self._turns.outcome(call, context, claim))
        finally:
            await self._leave(call)

    async def _enter(self, call: ForeignCall) -> None:
        await self._lanes.enter(call)
        self._running.add(call)

    async def _leave(self, call: ForeignCall) -> None:
        self._running.discard(call)
        await self._lanes.leave(call)

    async def close(self) -> None:
        """Let go of the foreign server; nothing of it is waited for any more."""
        self._turns.clear()
        self._lanes.clear()
        await super().close()

    # What the foreign server asks

    def asked(self, ask: Ask, call: ForeignCall | None) -> None:
        """The foreign server asks something: in the name of a call, or for itself."""
        if ask.method == "ping":
            self.peer.answer(ask, {})
        elif ask.method not in QUESTIONS:
            self.peer.refuse(ask, codes.METHOD_NOT_FOUND, f"{ask.method} is not answered here")
        elif ask.method == "roots/list" and not self._running:  # for itself, when it has started
            self.peer.answer(ask, {"roots": []})
        elif call is not None:
            self._owned(ask, call)
        else:  # on pipes, and over HTTP on the stream that belongs to no call
            if not self._lanes.one_at_a_time:
                hint = "its calls run one at a time from now on"
                event(_log, "foreign.asks", server=self.peer.name, hint=hint)
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
            await self._try(method, {"uri": uri})

    async def _raise_level(self, context: Context) -> None:
        """See to it that the foreign server logs what this caller wants to hear of."""
        wanted = None if context.meta is None else context.meta.log_level
        levels: list[str] = list(LOG_LEVELS)
        if not isinstance(wanted, str) or wanted not in levels or "logging" not in self.known.capabilities:
            return
        rank = levels.index(wanted)
        if rank < self._level:
            self._level = rank
            await self._try("logging/setLevel", {"level": wanted})

    async def _try(self, method: str, params: Mapping[str, Any]) -> None:
        """Ask for what is good to have, and no more."""
        try:
            _ = await self.peer.request(method, params, _SUBSCRIBE_TIMEOUT_S)
        except (ProtocolError, TimeoutError) as error:
            fields = {"server": self.peer.name, "method": method, "reason": str(error)}
            event(_log, "foreign.refused", logging.DEBUG, **fields)

    def _envelope(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return params


def _whole(outcome: Raw | bytes) -> bytes:
    return mapping.complete_result(outcome) if isinstance(outcome, Raw) else outcome
