"""A foreign server of this era: its requests and results pass as they are.

Only the token of a caller's progress is exchanged for one of our own, because two callers may have chosen the
same. Input requests, and requestState, are the foreign server's and its client's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from longreach.errors import ProtocolError
from longreach.tasks import TaskSet
from longreach.wire import codes
from longreach_bridge.foreign.calls import Ask, ForeignCall
from longreach_bridge.foreign.channel import Lost
from longreach_bridge.foreign.handshake import ENVELOPE, Known
from longreach_bridge.foreign.mapping import encoded, split_meta
from longreach_bridge.foreign.peer import Peer
from longreach_bridge.foreign.session import Ears, Relay, Session

if TYPE_CHECKING:
    from longreach.actor.raw import RawRequest
    from longreach_bridge.foreign.calls import Params

_LISTEN = "subscriptions/listen"
_LISTEN_AGAIN_S = 2.0


class ModernSession(Session):
    """Serves requests by a server that speaks 2026-07-28."""

    def __init__(self, peer: Peer, known: Known, ears: Ears) -> None:
        super().__init__(peer, known, ears)
        self._listening: ForeignCall | None = None
        self._tasks = TaskSet(f"modern {peer.name}")

    async def serve(self, request: RawRequest) -> bytes:
        """Pass a request on, and its result back.

        Raises:
            ProtocolError: it ended in a JSON-RPC error.
            Lost: the foreign server is gone.
        """
        params: Params = msgspec.json.decode(request.params, type=dict[str, Raw])
        others, meta = split_meta(params)
        token = meta.pop("progressToken", None)
        call = self.peer.prepare(request.method, Relay(request.context, token))
        sent = {**others, "_meta": encoded(meta)}
        try:
            await self.peer.send(
                call,
                sent,
                headers=self._ears.headers(request.method, params),
                wants_progress=token is not None,
            )
            outcome = await call.next()
        except asyncio.CancelledError:
            self.peer.cancel(call, "the caller waits no longer")
            raise
        assert isinstance(outcome, Raw), "only legacy servers ask"
        return bytes(outcome)

    async def follow(self, uris: frozenset[str]) -> None:
        """Listen to changes, instead of what was listened to before.

        Raises:
            Lost: the foreign server is gone.
        """
        capabilities = self.known.capabilities
        wanted: dict[str, Any] = {
            f"{kind}ListChanged": True
            for kind in ("tools", "prompts", "resources")
            if (capabilities.get(kind) or {}).get("listChanged")
        }
        if uris and (capabilities.get("resources") or {}).get("subscribe"):
            wanted["resourceSubscriptions"] = sorted(uris)
        before, self._listening = self._listening, None
        if wanted:
            self._listening = self.peer.prepare(_LISTEN)
            params = {"_meta": encoded(ENVELOPE), "notifications": wanted}
            await self.peer.send(self._listening, params)
            self._tasks.start(self._watch(self._listening), name="listen")
        if before is not None:
            self.peer.cancel(before, "listening to something else")

    @property
    def hears(self) -> bool:
        """Whether changes are still heard of; so they are where there is nothing to hear of."""
        return self._listening is None or not self._listening.done

    async def _watch(self, listening: ForeignCall) -> None:
        """When the foreign server ends the listening, list again after a while: something may be missed."""
        with suppress(ProtocolError, Lost):
            _ = await listening.next()
        await asyncio.sleep(_LISTEN_AGAIN_S)
        if listening is self._listening:
            self._ears.changed(("tool", "prompt", "resource", "template"))

    async def close(self) -> None:
        """Let go of the foreign server."""
        await self._tasks.close()
        await super().close()

    def asked(self, ask: Ask, call: ForeignCall | None) -> None:
        """Refuse: a server of this era asks within results only."""
        self.peer.refuse(ask, codes.METHOD_NOT_FOUND, f"a client of this era is not asked {ask.method}")

    def _envelope(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**params, "_meta": ENVELOPE}
