"""Foreign calls that wait for an answer from their caller, between two requests of the mesh."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from longreach_bridge.foreign.calls import Ask, ForeignCall, Params

if TYPE_CHECKING:
    from longreach.actor.raw import RawRequest

PREFIX = "lr~"
"""With what the requestState of a call begins that waits on the node which is named next."""
_MAX_PARKED = 256
_MAX_OF_ONE = 32
_TTL_S = 300.0
_HANDLE_BYTES = 24


class Claim(NamedTuple):
    """Whose a parked call is, and what it is about: a retry must be the same in all of it.

    Through which gateway does not matter: the retry may come through another.
    """

    by_gateway: bool
    caller: str | None
    method: str
    about: bytes


def claim_of(request: RawRequest, params: Params) -> Claim:
    """The claim of a request, whichever round it is."""
    told = hashlib.blake2b(digest_size=16)
    for key in ("name", "uri"):
        told.update(bytes(params.get(key, b"")) + b"\0")
    arguments = msgspec.json.decode(params.get("arguments", b"{}"))
    told.update(msgspec.json.encode(arguments, order="deterministic"))
    context = request.context
    return Claim(context.via is not None, context.caller, request.method, told.digest())


class Parked(NamedTuple):
    """A foreign call that waits; without a call, the request is made anew when its caller is back.

    Attributes:
        call: waits for the answer; None: there is none, and the request is to be made again.
        ask: what the foreign server wants to know; None likewise.
        claim: who may go on with it.
    """

    call: ForeignCall | None
    ask: Ask | None
    claim: Claim


class Parking:
    """Keeps what waits, bounded in number and time.

    Args:
        expired: told of each call whose caller did not come back in time.
        ttl_s: how long a caller may take, in seconds.
    """

    def __init__(self, expired: Callable[[Parked], None], ttl_s: float = _TTL_S) -> None:
        self._expired = expired
        self._ttl_s = ttl_s
        self._parked: dict[str, tuple[Parked, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._parked)

    def has_room(self, claim: Claim) -> bool:
        """Whether one more of this caller's may wait."""
        of_one = sum(parked.claim[:2] == claim[:2] for parked, _ in self._parked.values())
        return len(self._parked) < _MAX_PARKED and of_one < _MAX_OF_ONE

    def put(self, parked: Parked, node: str) -> str:
        """Keep `parked`; the requestState with which its caller comes back to this very node."""
        state = f"{PREFIX}{node}~{secrets.token_urlsafe(_HANDLE_BYTES)}"
        timer = asyncio.get_running_loop().call_later(self._ttl_s, self._expire, state)
        self._parked[state] = (parked, timer)
        return state

    def take(self, state: str, claim: Claim) -> Parked | None:
        """What was kept under `state`, once, and for the same claim only; None: there is nothing."""
        found = self._parked.get(state)
        if found is None or found[0].claim != claim:
            return None
        del self._parked[state]
        found[1].cancel()
        return found[0]

    def clear(self) -> None:
        """Forget everything: the foreign server is gone."""
        for _, timer in self._parked.values():
            timer.cancel()
        self._parked.clear()

    def _expire(self, state: str) -> None:
        parked, _ = self._parked.pop(state)
        self._expired(parked)
