"""What a foreign server lists, offered in the mesh and kept up to date."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.observe import event
from longreach_bridge.foreign.channel import Lost
from longreach_bridge.interest import Interest
from longreach_bridge.kinds import LISTINGS, Kind
from longreach_bridge.shelf import Definition, Shelf

if TYPE_CHECKING:
    from longreach.actor.raw import RawHandler, RawRequest
    from longreach.actor.server import Server
    from longreach_bridge.foreign.session import Session

_log = logging.getLogger("longreach.bridge")
_HINTS_KEY = "longreach/hints"
_LOOK_AGAIN_S = 60.0
_COALESCE_S = 0.05
ALL: tuple[Kind, ...] = tuple(listing.kind for listing in LISTINGS)


class _Read(msgspec.Struct):
    uri: str


class Stock:
    """Lists when it is told to, when the foreign server says that it has changed, and now and then.

    Args:
        server: of the mesh, on which it is offered.
        handler: answers the requests for all of it.
        trust_hints: its tools' hints count when a call may have to run again.
        look_again_s: how often everything is listed without being told.
    """

    def __init__(
        self, server: Server, handler: RawHandler, *, trust_hints: bool, look_again_s: float = _LOOK_AGAIN_S
    ) -> None:
        self._name = server.name
        self._shelf = Shelf(server, handler)
        self._interest = Interest()
        self._trust_hints = trust_hints
        self._look_again_s = look_again_s
        self._stale: set[Kind] = set()
        self._follows: frozenset[str] | None = None
        self._due = asyncio.Event()

    def schema_of(self, tool: str) -> Any:
        """The input schema of a tool; None where it is not known."""
        return self._shelf.of_kind("tool").get(tool, {}).get("inputSchema")

    def changed(self, kinds: tuple[Kind, ...]) -> None:
        """These kinds are to be listed again."""
        self._stale.update(kinds)
        self._due.set()

    def was_read(self, request: RawRequest) -> None:
        """A resource was read: from now on it is worth hearing of."""
        if self._interest.read(msgspec.json.decode(request.params, type=_Read).uri):
            self._due.set()

    async def fill(self, session: Session, kinds: tuple[Kind, ...] = ALL, *, is_new: bool = True) -> None:
        """Offer what is listed of these kinds, and follow what is worth hearing of.

        Args:
            session: with the foreign server.
            kinds: what is listed.
            is_new: nothing is followed yet in this session.

        Raises:
            Lost: the foreign server is gone, or cannot list.
        """
        for kind in kinds:
            self._shelf.put(kind, [self._marked(kind, each) for each in await session.list(kind)])
        self._interest.listed(self._shelf.of_kind("resource"))
        if is_new or self._interest.uris != self._follows or not session.hears:
            self._follows = self._interest.uris
            await session.follow(self._follows)

    async def keep(self, present: Callable[[], Session | None]) -> None:
        """List again what has changed, and now and then everything.

        Args:
            present: the session; None while the foreign server is gone, which is listed when it is back.
        """
        while True:
            try:
                async with asyncio.timeout(self._look_again_s):
                    await self._due.wait()
                await asyncio.sleep(_COALESCE_S)
            except TimeoutError:
                self._stale.update(ALL)
            self._due.clear()
            session = present()
            if session is None:
                continue
            stale, self._stale = tuple(kind for kind in ALL if kind in self._stale), set()
            try:
                await self.fill(session, stale, is_new=False)
            except Lost as lost:
                event(_log, "foreign.listing_failed", logging.WARNING, server=self._name, reason=str(lost))

    def _marked(self, kind: Kind, definition: Definition) -> Definition:
        if kind != "tool" or self._trust_hints:
            return definition
        meta = definition.get("_meta")
        return {**definition, "_meta": {**(meta if isinstance(meta, dict) else {}), _HINTS_KEY: "untrusted"}}
