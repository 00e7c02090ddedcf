"""One connection to a foreign server, from its handshake until it is lost: what both eras have in common."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from longreach.actor.raw import CutOff, NotBegun
from longreach.errors import ProtocolError
from longreach.observe import event
from longreach.wire import codes
from longreach.wire.mcp import LOG_LEVELS
from longreach_bridge.foreign.calls import Ask, ForeignCall, Params
from longreach_bridge.foreign.channel import Lost
from longreach_bridge.foreign.handshake import Known
from longreach_bridge.foreign.mapping import mesh_error
from longreach_bridge.foreign.peer import Peer
from longreach_bridge.kinds import LISTINGS, Kind, Listing

if TYPE_CHECKING:
    from longreach.actor.context import Context
    from longreach.actor.raw import RawRequest

_log = logging.getLogger("longreach.bridge")
_LIST_TIMEOUT_S = 60.0
_MAX_PAGES = 1_000
_CAPABILITY: dict[Kind, str] = {
    "tool": "tools",
    "prompt": "prompts",
    "resource": "resources",
    "template": "resources",
}
_CHANGES: dict[str, tuple[Kind, ...]] = {
    "notifications/tools/list_changed": ("tool",),
    "notifications/prompts/list_changed": ("prompt",),
    "notifications/resources/list_changed": ("resource", "template"),
}
_PROGRESS, _MESSAGE = "notifications/progress", "notifications/message"

_RANKS: dict[str | msgspec.UnsetType | None, int] = {level: rank for rank, level in enumerate(LOG_LEVELS)}

Definitions = list[Mapping[str, Any]]


class Ears(NamedTuple):
    """Who hears of what happens at a foreign server.

    Attributes:
        changed: told the kinds whose listings have changed.
        updated: told the URI of a resource that has.
        headers: what the channel has to repeat of a request, as headers; asked its method and params.
    """

    changed: Callable[[tuple[Kind, ...]], None]
    updated: Callable[[str], None]
    headers: Callable[[str, Params], Mapping[str, str]]


class Session(ABC):
    """Serves requests of the mesh by one connection to a foreign server.

    Args:
        peer: speaks with it; the handshake is done.
        known: what the foreign server has said of itself.
        ears: hear of what happens there.
    """

    def __init__(self, peer: Peer, known: Known, ears: Ears) -> None:
        self.peer = peer
        self.known = known
        self._ears = ears

    @property
    def hears(self) -> bool:
        """Whether changes are still heard of, as `follow` has asked for."""
        return True

    @abstractmethod
    async def serve(self, request: RawRequest) -> bytes:
        """Serve one request of the mesh.

        Raises:
            ProtocolError: it ended in a JSON-RPC error.
            Lost: the foreign server is gone.
        """

    @abstractmethod
    async def follow(self, uris: frozenset[str]) -> None:
        """From now on hear of changes: of lists, and of these resources.

        Raises:
            Lost: the foreign server is gone.
        """

    @abstractmethod
    def asked(self, ask: Ask, call: ForeignCall | None) -> None:
        """The foreign server asks something."""

    async def close(self) -> None:
        """Let go of the foreign server, and forget what was about it."""
        await self.peer.close()

    async def handle(self, request: RawRequest) -> bytes:
        """Serve one request of the mesh, with an ending of the mesh in every case.

        Raises:
            NotBegun: nothing of it was sent.
            CutOff: it was sent, and the foreign server was lost.
            ProtocolError: it ended in a JSON-RPC error.
        """
        try:
            return await self.serve(request)
        except Lost as lost:
            if not lost.sent:
                raise NotBegun(f"the bridged server is not there: {lost}") from None
            text = f"the bridged server was lost with this call, which may have run: {lost}"
            raise CutOff(text) from None
        except ProtocolError as error:
            raise mesh_error(error) from None
        except msgspec.DecodeError as error:
            text = "the bridged server answered with what is no result"
            event(_log, "foreign.bad_result", logging.WARNING, server=self.peer.name, reason=str(error))
            raise ProtocolError(codes.INTERNAL_ERROR, text, {"reason": "bad_result"}) from None

    async def list(self, kind: Kind) -> Definitions:
        """Everything of one kind that the foreign server lists; nothing where it has no such kind.

        Raises:
            Lost: it is gone, or cannot list it.
        """
        listing = next(each for each in LISTINGS if each.kind == kind)
        if _CAPABILITY[kind] not in self.known.capabilities:
            return []
        try:
            return await self._pages(listing)
        except ProtocolError as error:
            if error.code == codes.METHOD_NOT_FOUND:  # templates, of servers that have only resources
                return []
            raise Lost(f"{listing.method} failed: {error}") from None
        except TimeoutError:
            raise Lost(f"{listing.method} was not answered within {_LIST_TIMEOUT_S:g} s") from None
        except msgspec.DecodeError as error:
            raise Lost(f"{listing.method} was answered with what is no listing: {error}") from None

    async def _pages(self, listing: Listing) -> Definitions:
        found: Definitions = []
        cursor: dict[str, Any] = {}
        for _ in range(_MAX_PAGES):
            raw = await self.peer.request(listing.method, self._envelope(cursor), _LIST_TIMEOUT_S)
            page = msgspec.json.decode(raw, type=dict[str, Any])
            definitions = page.get(listing.member, [])
            if not isinstance(definitions, list):
                raise msgspec.DecodeError(f"{listing.member} is no list")
            good = [each for each in definitions if isinstance(each, dict)]
            if len(good) != len(definitions):
                event(
                    _log, "definition.refused", logging.WARNING, server=self.peer.name, kind=listing.kind,
                    count=len(definitions) - len(good), reason=f"an entry of {listing.member} is no object",
                )  # fmt: skip
            found += good
            if not page.get("nextCursor"):
                return found
            cursor = {"cursor": page["nextCursor"]}
        raise Lost(f"{listing.method} has more than {_MAX_PAGES} pages")

    @abstractmethod
    def _envelope(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """`params` of a request of our own, as the era has it."""

    def told(self, method: str, params: Params, call: ForeignCall | None) -> None:
        """The foreign server says something: pass it on to whom it is for."""
        kinds = _CHANGES.get(method)
        if kinds is not None:
            self._ears.changed(kinds)
        elif method == "notifications/resources/updated":
            self._updated(params)
        elif method == _PROGRESS and call is not None:
            call.note(method, params)
        elif method == _MESSAGE:
            call = call or self._only_running()
            if call is not None:
                call.note(method, params)
        else:
            event(_log, "foreign.note_ignored", logging.DEBUG, server=self.peer.name, method=method)

    def _only_running(self) -> ForeignCall | None:
        """The one call that runs: what is said without an address can be about no other."""
        running = [call for call in self.peer.calls if call.on_note is not None]
        return running[0] if len(running) == 1 else None

    def _updated(self, params: Params) -> None:
        try:
            self._ears.updated(msgspec.json.decode(params.get("uri", b"null"), type=str))
        except msgspec.DecodeError:
            event(_log, "foreign.note_ignored", logging.DEBUG, server=self.peer.name, method="updated")


class Relay:
    """Passes what the foreign server says of a call on to its caller in the mesh.

    Args:
        context: the call in the mesh.
        token: with which the caller wants to hear of progress; None: it does not.
    """

    def __init__(self, context: Context, token: msgspec.Raw | None) -> None:
        self._context = context
        self._token = token

    def __call__(self, method: str, params: Params) -> None:
        """Pass one notification on, where the caller has asked for such."""
        if method == _PROGRESS:
            if self._token is None:
                return
            params = {**params, "progressToken": self._token}
        elif not self._wants(params):
            return
        body = {"jsonrpc": "2.0", "method": method, "params": params}
        _ = self._context.send(msgspec.json.encode(body))

    def _wants(self, params: Params) -> bool:
        """Whether the caller wants log messages of this level."""
        meta = self._context.meta
        wanted = None if meta is None else meta.log_level
        try:
            level = msgspec.json.decode(params.get("level", b"null"), type=str)
        except msgspec.DecodeError:
            return False
        return wanted in _RANKS and level in _RANKS and _RANKS[level] >= _RANKS[str(wanted)]
