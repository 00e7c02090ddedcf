"""The legacy sessions of one gateway: bounded, idle ones ended, each for the principal that opened it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

import anyio
from mcp.server.streamable_http import StreamableHTTPServerTransport

from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach_gateway.legacy.conversation import CLAIMS, Conversation
from longreach_gateway.legacy.ids import GatewayAddress, new_session_id
from longreach_gateway.legacy.limits import Limits, Load
from longreach_gateway.legacy.replay import Replay, Store

if TYPE_CHECKING:
    from longreach_gateway.audit import Audit
    from longreach_gateway.auth.claims import ClaimsSigner
    from longreach_gateway.legacy.exchange import Exchange
    from longreach_gateway.legacy.face import Face

_log = logging.getLogger("longreach.gateway.legacy")
_SWEEP_EVERY_S = 5.0
_END_S = 5.0


class Session:
    """One legacy client: its conversation, and the official SDK's transport that carries it.

    Attributes:
        id: what the client names it by.
        caller: whose it is; None where nobody says who they are.
        server: which server it is about; None: the whole mesh.
        serving: exchanges under way, open streams among them.
        used: when one last began or ended, on the monotonic clock.
    """

    def __init__(
        self, session_id: str, conversation: Conversation, caller: str | None, server: str | None,
        replay: Replay, retry_ms: int, now: float,
    ) -> None:  # fmt: skip
        self.id = session_id
        self.caller = caller
        self.server = server
        self.serving = 0
        self.used = now
        self.replay = replay
        self.conversation = conversation
        self.transport = StreamableHTTPServerTransport(
            session_id, event_store=replay, retry_interval=retry_ms
        )
        self._connected = asyncio.Event()

    async def run(self) -> None:
        """Carry the conversation until the transport is terminated."""
        try:
            async with self.transport.connect() as (read, write):
                self._connected.set()
                await self.conversation.run(read, write)
        finally:
            self._connected.set()

    async def connected(self) -> None:
        """Wait until requests can be handed over."""
        await self._connected.wait()


class Sessions:
    """All of them.

    Args:
        address: of this gateway, which their ids name.
        limits: how many there may be, and for how long.
        name: what the server is called where the mesh does not say.
        clock: the time.
        signer: signs what nodes are told of users; None: they are told nothing.
        audit: tells of requests; None: nobody does.
    """

    def __init__(
        self,
        address: GatewayAddress,
        limits: Limits,
        *,
        name: str = "longreach",
        clock: Clock = SYSTEM_CLOCK,
        signer: ClaimsSigner | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._audit = audit
        self._signer = signer
        self._address = address
        self._limits = limits
        self._name = name
        self._clock = clock
        self._tasks = TaskSet("sessions")
        self._sessions: dict[str, Session] = {}
        self._load = Load(limits)
        self._store = Store(limits.replay_bytes, limits.replay_events)
        self._closing = False

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def replay_bytes(self) -> int:
        """Bytes kept for streams that may be resumed."""
        return self._store.size

    def start(self) -> None:
        """End idle sessions from now on."""
        _quieten_sdk()
        self._tasks.start(self._sweep(), name="sweep")

    def find(self, session_id: str, caller: str | None, server: str | None) -> Session | None:
        """That session, if it is theirs and about that server. To others it does not exist."""
        session = self._sessions.get(session_id)
        if session is None or session.caller != caller or session.server != server:
            return None
        return session

    async def open(self, face: Face, caller: str | None, server: str | None) -> Session | None:
        """A new session; None where there is room for none."""
        if self._closing or not self._make_room():
            return None
        conversation = Conversation(
            face, caller=caller, name=self._name, limits=self._limits, load=self._load, audit=self._audit
        )
        session = Session(
            new_session_id(self._address), conversation, caller, server,
            self._store.open(), self._limits.retry_ms, self._clock.monotonic(),
        )  # fmt: skip
        self._sessions[session.id] = session
        self._tasks.start(self._run(session), name="session")
        await session.connected()
        return session

    async def serve(self, session: Session, exchange: Exchange) -> None:
        """Let the session answer; one that is deleted, or never was initialized, ends with it."""
        session.serving += 1
        session.used = self._clock.monotonic()
        if self._signer is not None:
            exchange.scope[CLAIMS] = self._signer.of(exchange.principal)
        try:
            await session.transport.handle_request(exchange.scope, exchange.unread(), exchange.send)
        finally:
            session.serving -= 1
            session.used = self._clock.monotonic()
            if session.transport.is_terminated or session.conversation.client is None:
                await self._end(session)

    async def quiet(self) -> None:
        """Open no more sessions, and wait until none is answering anything."""
        self._closing = True
        for session in tuple(self._sessions.values()):
            await session.conversation.quiet()

    async def close(self) -> None:
        """End all sessions."""
        self._closing = True
        async with asyncio.TaskGroup() as group:
            for session in tuple(self._sessions.values()):
                _ = group.create_task(self._end(session))
        await self._tasks.close()

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except Exception as error:  # noqa: BLE001 - one session's failure is no other's
            event(_log, "session.failed", logging.ERROR, error=repr(error))
        finally:
            await self._end(session)

    async def _end(self, session: Session) -> None:
        """Forget it first: from then on its id is not found."""
        if self._sessions.pop(session.id, None) is not None:
            session.replay.close()
        if not session.transport.is_terminated:
            with anyio.move_on_after(_END_S, shield=True):
                await session.transport.terminate()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(_SWEEP_EVERY_S, self._limits.idle_s / 2))
            await self.end_idle()

    async def end_idle(self) -> None:
        """End the sessions that nobody has used for long."""
        before = self._clock.monotonic() - self._limits.idle_s
        idle = [each for each in self._sessions.values() if not each.serving and each.used < before]
        for session in idle:
            await self._end(session)
        if idle:
            event(_log, "sessions.idle", count=len(idle), left=len(self._sessions))

    def _make_room(self) -> bool:
        """Let one end where there are as many as there may be: of whoever has the most, the longest idle."""
        if len(self._sessions) < self._limits.sessions:
            return True
        counts = Counter(session.caller for session in self._sessions.values())
        most = max(counts.values())
        idle = [
            session
            for session in self._sessions.values()
            if not session.serving and counts[session.caller] == most
        ]
        if not idle:
            return False
        oldest = min(idle, key=lambda session: session.used)
        del self._sessions[oldest.id]
        oldest.replay.close()
        self._tasks.start(self._end(oldest), name="end")
        return True


def _quieten_sdk() -> None:
    """Of the SDK's routine nothing is logged: it names sessions, and whoever has a session's id has it."""
    for name in ("mcp", "sse_starlette"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
