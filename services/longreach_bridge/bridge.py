"""`Bridge`: a foreign server under a supervisor, as a server of the mesh.

While the foreign server is up, its offer is announced and its requests go to it. When it is lost, everything
leaves the queue group at once, and comes back when the foreign server has: it is started again with back-off,
soon at first, then after longer and longer pauses, and listed anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from longreach.actor.raw import NotBegun
from longreach.actor.server import Server
from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.observe import event
from longreach.policy.quarantine import Quarantine, Verdict
from longreach.tasks import TaskSet
from longreach_bridge.foreign.calls import Ask, ForeignCall, Params
from longreach_bridge.foreign.channel import Channel, Lost
from longreach_bridge.foreign.handshake import Known, Times, shake_hands
from longreach_bridge.foreign.legacy import LegacySession
from longreach_bridge.foreign.modern import ModernSession
from longreach_bridge.foreign.peer import Peer
from longreach_bridge.foreign.session import Ears, Session
from longreach_bridge.kinds import Kind
from longreach_bridge.mirrors import mirrored_headers
from longreach_bridge.naming import server_name
from longreach_bridge.stock import Stock

if TYPE_CHECKING:
    from longreach.actor.raw import RawRequest

_log = logging.getLogger("longreach.bridge")
_UNSTATED = "0.0.0"
_LOOK_AGAIN_S = 60.0
_READ = "resources/read"


class Bridge:
    """A foreign server, kept up.

    Args:
        make_channel: makes the channel for each new connection.
        name: in the mesh; None: what the foreign server calls itself.
        trust_hints: its tools' hints count when a call may have to run again.
        is_patient: at the start, wait for as long as it takes.
        times: how long it may take to answer at the start.
        look_again_s: how often its lists are looked at without being told.
        clock: the time.
        sleep: waits before a restart.
        quarantine: decides for how long.
    """

    def __init__(
        self,
        make_channel: Callable[[], Channel],
        *,
        name: str | None = None,
        trust_hints: bool = False,
        is_patient: bool = False,
        times: Times = Times(),  # noqa: B008 - a value
        look_again_s: float = _LOOK_AGAIN_S,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._make_channel = make_channel
        self._name = name
        self._trust_hints = trust_hints
        self._is_patient = is_patient
        self._times = times
        self._look_again_s = look_again_s
        self._clock = clock
        self._sleep = sleep
        self._quarantine = quarantine or Quarantine()
        self._tasks = TaskSet("bridge")
        self._session: Session | None = None
        self._server: Server | None = None
        self._stock: Stock | None = None
        self._skip_probe = False

    @property
    def label(self) -> str:
        """What it is called in the log."""
        return self._name or "foreign"

    async def connect(self) -> Server:
        """Connect for the first time; the server of the mesh that stands for the foreign one.

        A failure that would only repeat ends the attempt, and so do some in a row, unless it is patient.

        Raises:
            Lost: it cannot be reached, or does not stay.
        """
        session = None
        while session is None:
            try:
                session = await self._open()
            except Lost as lost:
                verdict = self._failed(lost)
                if lost.hopeless or (verdict.state == "quarantined" and not self._is_patient):
                    raise
                await self._sleep(verdict.delay_s)
        self._session = session
        self._server = self._make_server(session.known)
        return self._server

    async def close(self) -> None:
        """Let go of the foreign server, and end what was started for it."""
        await self._tasks.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Bridge:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def lifespan(self, server: Server) -> AsyncIterator[None]:
        """Within it, `server` offers what the foreign server lists, and the foreign server is kept up."""
        session = self._session
        assert session is not None, "connect comes first"
        self._stock = Stock(
            server, self.handle, trust_hints=self._trust_hints, look_again_s=self._look_again_s
        )
        if "completions" in session.known.capabilities:
            server.set_raw_completion(self.handle)
        if "resources" in session.known.capabilities:
            server.set_raw_reader(self.handle)
        try:
            await self._stock.fill(session)
        except Lost as lost:  # either it is gone, and keeping it begins with that, or it is asked again
            event(_log, "foreign.listing_failed", logging.WARNING, server=self.label, reason=str(lost))
        self._tasks.start(self._keep(session), name=f"keep {self.label}")
        self._tasks.start(self._stock.keep(lambda: self._session), name=f"listings of {self.label}")
        try:
            yield
        finally:
            await self.close()

    async def handle(self, request: RawRequest) -> bytes:
        """Serve one request by the foreign server.

        Raises:
            NotBegun: it is not there, or nothing was sent.
            CutOff: it was sent, and the foreign server was lost.
            ProtocolError: it ended in a JSON-RPC error.
        """
        session = self._session
        if session is None:
            raise NotBegun("the bridged server is not there just now")
        result = await session.handle(request)
        if request.method == _READ and self._stock is not None:
            self._stock.was_read(request)
        return result

    # Up and down

    async def _keep(self, session: Session) -> None:
        """Bring the foreign server back whenever it is lost."""
        assert self._server is not None
        while True:
            lost = await session.peer.gone()
            self._session = None
            self._server.suspend(str(lost))
            event(_log, "foreign.lost", logging.WARNING, server=self.label, reason=str(lost))
            await session.close()
            session = await self._come_back(lost)
            self._session = session
            self._server.resume()
            event(_log, "foreign.back", server=self.label, era=session.known.era)

    async def _come_back(self, lost: Lost) -> Session:
        assert self._stock is not None
        while True:
            await self._sleep(self._failed(lost).delay_s)
            try:
                session = await self._open()
            except Lost as again:
                lost = again
                continue
            try:
                await self._stock.fill(session)
            except Lost as again:
                lost = again
                await session.close()
                continue
            self._note_version(session.known)
            return session

    def _failed(self, lost: Lost) -> Verdict:
        """The foreign server is not there: for how long it is left alone."""
        verdict = self._quarantine.crashed(self._clock.monotonic(), random.random)
        event(
            _log, "foreign.failed", logging.WARNING, server=self.label, reason=str(lost),
            state=verdict.state, next_try_s=round(verdict.delay_s, 2),
        )  # fmt: skip
        return verdict

    async def _open(self) -> Session:
        """Connect, and find out which era it speaks.

        Raises:
            Lost: it did not work.
        """
        listener = _Listener()
        peer = Peer(self.label, self._make_channel(), listener)
        is_open = False
        try:
            await peer.open()
            is_open = True
            known = await shake_hands(peer, self._times, skip_probe=self._skip_probe)
        except BaseException as error:
            if isinstance(error, Lost) and not peer.channel.knows_origin:
                # A legacy process may end at the first question that it does not know: leave that one out.
                self._skip_probe = is_open and not self._skip_probe
            await peer.close()
            raise
        ears = Ears(self._changed, self._updated, self._headers)
        session: Session = (ModernSession if known.era == "modern" else LegacySession)(peer, known, ears)
        listener.session = session
        event(_log, "foreign.up", server=self.label, era=known.era, version=known.version)
        return session

    def _make_server(self, known: Known) -> Server:
        self._name = self._name or server_name(str(known.info.get("name") or ""))
        return Server(
            self._name,
            version=_version(known),
            title=_text(known.info.get("title")),
            instructions=_text(known.instructions),
            lifespan=self.lifespan,
        )

    def _note_version(self, known: Known) -> None:
        assert self._server is not None
        if _version(known) != self._server.version:
            event(
                _log, "foreign.version_changed", logging.WARNING, server=self.label, now=_version(known),
                announced=self._server.version, hint="restart the bridge to announce the new version",
            )  # fmt: skip

    # What the foreign server says

    def _changed(self, kinds: tuple[Kind, ...]) -> None:
        if self._stock is not None:
            self._stock.changed(kinds)

    def _updated(self, uri: str) -> None:
        if self._server is not None:
            self._server.notify_resource_updated(uri)

    def _headers(self, method: str, params: Params) -> Mapping[str, str]:
        session, stock = self._session, self._stock
        if session is None or stock is None or not session.peer.channel.mirrors_headers:
            return {}
        return mirrored_headers(method, params, stock.schema_of)


class _Listener:
    """Hears a peer before it is known which era's session it belongs to."""

    session: Session | None = None

    def asked(self, ask: Ask, call: ForeignCall | None) -> None:
        if self.session is not None:
            self.session.asked(ask, call)

    def told(self, method: str, params: Params, call: ForeignCall | None) -> None:
        if self.session is not None:
            self.session.told(method, params, call)


def _version(known: Known) -> str:
    return _text(known.info.get("version")) or _UNSTATED


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
