"""`Node`: one process's place in the mesh, from start to drain.

States: starting, serving, draining, stopped (`policy.lifecycle`). A node supervises its connection as it
supervises its actors: the link comes back by itself, and everything is announced again when it does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from types import TracebackType
from typing import TYPE_CHECKING

from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.errors import ConfigError, LongreachError
from longreach.node.assembly import Hooks, Parts, assemble, check_files
from longreach.node.broker import BrokerWatch, open_link
from longreach.node.held import HeldLoop
from longreach.node.keys import key_source
from longreach.node.settings import NodeSettings, new_instance
from longreach.node.signals import Signals
from longreach.observe import event
from longreach.policy.lifecycle import NODE, step
from longreach.policy.seldom import Seldom
from longreach.tasks import TaskSet
from longreach.threads import CHORES, in_thread
from longreach.wire import frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.actor.server import Server
    from longreach.actor.states import KeySource
    from longreach.node.announcer import Announcer
    from longreach.node.hosting import Hosted
    from longreach.node.intake import Intake
    from longreach.node.replies import Replies
    from longreach.transport.link import Denied, Link, LinkState
    from longreach.wire.frames import Announcement

_log = logging.getLogger("longreach.node")
_FENCE_TIMEOUT_S = 5.0
_COALESCE_S = 0.02
_ANNOUNCE_AGAIN_S = 0.1
_STOP_GRACE_S = 0.5
"""How long a stop "at once" lets the last words be sent."""


class Node:
    """Hosts servers on one connection.

    Args:
        servers: what is hosted; at least one, names must differ.
        settings: how.
        link: a connection that is there already; the node closes it.
        clock: the time.
    """

    def __init__(
        self,
        *servers: Server,
        settings: NodeSettings | None = None,
        link: Link | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not servers:
            raise ConfigError("a node hosts at least one server; give it a Server")
        names = [server.name for server in servers]
        if len(set(names)) != len(names):
            raise ConfigError(f"two servers of a node cannot have one name: {sorted(names)}")
        self.settings = settings or NodeSettings()
        self.servers = servers
        self.instance = new_instance()
        self.state: str = "starting"
        self.failed: str | None = None
        self._begun = False
        self._given_link = link
        self._clock = clock
        self._started_at = clock.monotonic()
        self._tasks = TaskSet("node", self._task_failed)
        self._ended = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._drain_timeout_s = self.settings.drain_timeout_s
        self._hosted: tuple[Hosted, ...] = ()
        self._parts: Parts | None = None
        self._unannounced: set[str] = set()
        self._not_announced: str | None = None
        self._denials = Seldom()
        self._link: Link | None = None
        self._broker: BrokerWatch | None = None
        self._intake: Intake
        self._announcer: Announcer
        self._replies: Replies

    @property
    def identity(self) -> str:
        """What the node's credentials call it."""
        return self.settings.identity

    @property
    def region(self) -> str:
        """Where it is."""
        return self.settings.region

    @property
    def name(self) -> str:
        """``identity.instance``, unique in the mesh."""
        return f"{self.identity}.{self.instance}"

    @property
    def url(self) -> str | None:
        """The broker it is connected to, without credentials."""
        return self._link.url if self._link is not None else None

    @property
    def embedded(self) -> bool:
        """Whether the broker is the embedded one of this user."""
        return self._broker is not None

    @property
    def in_flight(self) -> int:
        """How many calls are here now."""
        return len(self._intake.calls) if self._link is not None else 0

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each hosted server."""
        return self._announcer.digests

    def listen_to_peers(self, server: str, heard: Callable[[Announcement], None]) -> Callable[[], None]:
        """Call `heard` with each announcement of the nodes of `server` in this region, this one's included.

        They are asked to announce themselves now. Call it once the node serves.

        Args:
            server: one that this node hosts.
            heard: called within the read loop: it must not wait.

        Returns:
            What ends it.
        """
        peers = next(hosted.peers for hosted in self._hosted if hosted.server.name == server)
        stop = peers.listen(heard)
        peers.ask()
        return stop

    async def start(self) -> None:
        """Connect, start every server's actors, announce them, let them join their groups.

        Waits for a broker that is not up yet. When a server cannot start, `failed` says why and the
        node drains. A node that is drained while it starts does not come to serve.

        Raises:
            CredentialsRejected: the broker does not accept the credentials.
            ConfigError: a setting is wrong, or it was started, or stopped, before; a node has one life.
        """
        if self._begun or self._draining is not None or self.state != "starting":
            raise ConfigError("a node is started once; make a new one")
        self._begun = True
        embedded = self._given_link is None and not self.settings.connection.urls
        # Before a broker is waited for: a file that is not there will not come with it.
        keys = key_source(self.settings, embedded=embedded)
        check_files(self.settings, self._clock)
        if self._given_link is not None:
            self._link = self._given_link
        else:
            self._link, self._broker = await open_link(self.settings.connection, self._tasks)
        self._assemble(self._link, keys)
        for server in self.servers:
            self._announcer.check(server)
        for hosted in self._hosted:
            await hosted.start()
            if self._draining is not None:
                return
        for server in self.servers:
            self._announcer.offer(server, now=False)
        await self._make_known()
        if self._draining is not None:
            return
        for hosted in self._hosted:
            hosted.join()
        await self._fence()
        self._require_announced()
        if self._draining is not None:
            return
        self._tasks.start(self._announcer.beat(), name="heartbeat")
        self._move("started")
        self._announce_late()

    async def drain(self, reason: str = "asked to") -> None:
        """Take no more calls, let those that run end, say good-bye, and close.

        Calls that still run after the drain's time limit are cut off, and told so. Returns when the node
        has stopped; whoever asks again waits for the same drain.
        """
        self._begin_drain(reason)
        await self._ended.wait()

    async def stop(self) -> None:
        """Stop at once: running calls are cut off."""
        self._drain_timeout_s = 0.0
        for hosted in self._hosted:
            await hosted.tree.drain(0.0)
        await self.drain("stopped")

    async def run(self) -> int:
        """Start, serve until SIGTERM or SIGINT or a failure, drain; the exit code of the process.

        The first signal drains, the second one stops at once, also where a handler holds the event loop.
        """
        signals = Signals(self._signalled)
        signals.open()
        held = HeldLoop()
        held.open()
        starting = self._tasks.spawn(self.start(), name="start")
        ended = self._tasks.spawn(self._ended.wait(), name="ended")
        try:
            await asyncio.wait({starting, ended}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and not starting.cancelled() and starting.exception() is None:
                await self._ended.wait()
        finally:
            signals.close()
            held.close()
            if self._link is None or self.state == "starting":
                starting.cancel()
            await self._close()
        if starting.done() and not starting.cancelled():
            starting.result()
        return 0 if self.failed is None else 1

    async def __aenter__(self) -> Node:
        is_mine = not self._begun
        try:
            await self.start()
        except BaseException:
            if is_mine:
                await self._close()
            raise
        if self.failed is not None:
            await self.drain(self.failed)
            raise LongreachError(f"the node could not start: {self.failed}")
        if self._draining is not None:
            await self.drain()
            raise LongreachError("the node was drained before it had started")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.drain("left")

    def _assemble(self, link: Link, keys: KeySource) -> None:
        bare = self.settings.bare_inboxes
        self._parts = parts = assemble(
            link,
            self.servers,
            self.settings,
            Hooks(self._info, self._begin_drain, self._offers_changed, self._server_failed),
            self._clock,
            self._tasks,
            instance=self.instance,
            bare_inboxes=self.embedded if bare is None else bare,
            keys=keys,
        )
        self._hosted = parts.hosted
        self._replies, self._intake, self._announcer = parts.replies, parts.intake, parts.announcer
        link.on_change(self._link_changed)
        link.on_denied(self._denied)

    def _begin_drain(self, reason: str) -> None:
        if self._draining is None and self.state != "stopped":
            event(_log, "node.draining", node=self.name, reason=reason)
            self._draining = self._tasks.spawn(self._drain(), name="drain")

    async def _drain(self) -> None:
        if self.state in ("starting", "serving"):
            self._move("drain")
        try:
            end_at = self._clock.monotonic() + self._drain_timeout_s
            for hosted in self._hosted:
                await hosted.leave()
            if self._parts is not None:
                self._parts.large.requests.drain()
            await asyncio.gather(*(hosted.drain(self._drain_timeout_s) for hosted in self._hosted))
            if self._parts is not None:
                await self._parts.large.results.fetched(max(0.0, end_at - self._clock.monotonic()))
                await self._replies.flushed(max(0.0, end_at - self._clock.monotonic()))
            await asyncio.gather(*(hosted.stop() for hosted in self._hosted))
            if self._hosted:
                # Not before: to a client, "down" means that what it still waits for here is lost (M8.3).
                self._announcer.withdraw()
            await self._fence()
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            if self.state != "stopped":
                self.state = "stopped"
                await self._take_apart()
                event(_log, "node.stopped", node=self.name, failed=self.failed)
        finally:
            self._ended.set()
            await self._tasks.close()

    async def _take_apart(self) -> None:
        # After a drain they are stopped already; where a start failed, or was cancelled, they are not.
        await asyncio.gather(*(hosted.stop() for hosted in self._hosted))
        if self._parts is not None:
            for canary in self._parts.canaries.values():
                canary.close()
            self._parts.slow.close()
            self._parts.large.close()
            self._replies.close()
            if self._parts.audit is not None:
                await in_thread(CHORES, self._parts.audit.close)
        if self._broker is not None:
            await self._broker.close(self._link)
        link = self._link or self._given_link
        if link is not None:
            await link.close()

    async def _fence(self) -> bool:
        """Whether the broker has handled everything written so far."""
        if self._link is None:
            return False
        try:
            await self._link.fence(_FENCE_TIMEOUT_S)
        except LongreachError as error:
            event(_log, "fence.failed", logging.DEBUG, reason=str(error))
            return False
        return True

    async def _make_known(self) -> None:
        """Return when the broker has announced every server: before, no call may come here (M8.1).

        Raises:
            ConfigError: the broker's permissions do not allow it, or it carries no message so large.
        """
        assert self._link is not None
        while self._draining is None:
            try:
                await self._link.wait_up(None)
            except LongreachError:
                if self._draining is not None:  # which has closed it
                    return
                raise
            self._announcer.check_fits()
            if self._announcer.announce() and await self._fence():
                self._require_announced()
                return
            await asyncio.sleep(_ANNOUNCE_AGAIN_S)

    def _require_announced(self) -> None:
        if self._not_announced is not None:
            raise ConfigError(self._not_announced)

    def _move(self, what: str) -> None:
        before, self.state = self.state, step(NODE, self.state, what)
        event(_log, f"node.{self.state}", node=self.name, region=self.region, before=before)

    def _signalled(self, number: int) -> None:
        name = signal.Signals(number).name
        if self._draining is not None or self._link is None:
            event(_log, "node.stopping", logging.WARNING, signal=name)
            self._drain_timeout_s = 0.0
            self._tasks.start(self._cut_off(), name="stop")
        else:
            self._begin_drain(name)

    async def _cut_off(self) -> None:
        await asyncio.gather(*(hosted.drain(0.0) for hosted in self._hosted))
        if self._link is None:
            self._ended.set()
        elif self._draining is not None:
            await asyncio.wait({self._draining}, timeout=_STOP_GRACE_S)
            if not self._draining.done():  # it waits for a broker that hangs
                self._replies.close()
                await self._link.close(_STOP_GRACE_S)

    def _link_changed(self, state: LinkState) -> None:
        if state.status == "up" and self.state == "starting":
            self._announcer.announce()  # of `_make_known`, or since: subscriptions are back already
        if state.status == "up" and self.state in ("serving", "draining"):
            self._replies.release()
            if self.state == "serving":
                self._announce_again()
                for hosted in self._hosted:
                    hosted.events.release()

    def _announce_again(self) -> None:
        try:
            self._announcer.check_fits()
        except ConfigError as error:  # another broker, which carries less
            self._server_failed(str(error))
        else:
            self._announcer.announce()

    def _denied(self, denied: Denied) -> None:
        """Log what the broker's permissions refuse, each kind of subject once a minute; replies are one.

        A node that may not announce itself takes no calls: askers would not know that it may have one.
        """
        is_mine = denied.kind == "publish" and ".adv." in denied.subject
        refused = self._announcer.refused(denied.subject) if is_mine else None
        if refused is not None and self._not_announced is None:
            self._not_announced = refused
            if self.state == "serving":
                self._server_failed(refused)
        count = self._denials.due(denied.sort, self._clock.monotonic())
        if count is None:
            return
        event(
            _log, "permission.denied", logging.WARNING, kind=denied.kind, subject=denied.subject, count=count,
            hint="`longreach subject` prints what a node needs",
        )  # fmt: skip

    def _offers_changed(self, server: Server) -> None:
        """Announce what has changed, once, however much was added and removed in a row."""
        if server.name not in self._unannounced:
            self._unannounced.add(server.name)
            asyncio.get_running_loop().call_later(_COALESCE_S, self._announce_changed, server)

    def _announce_late(self) -> None:
        """Announce what has changed while the node was not serving yet."""
        for server in self.servers:
            if server.name in self._unannounced:
                self._announce_changed(server)

    def _announce_changed(self, server: Server) -> None:
        if self.state == "starting":
            return
        self._unannounced.discard(server.name)
        if self.state == "serving":
            hosted = next(hosted for hosted in self._hosted if hosted.server is server)
            for kind in self._announcer.offer(server):
                hosted.events.list_changed(kind)

    def _server_failed(self, reason: str) -> None:
        if self.failed is None:
            self.failed = reason
            event(_log, "node.failed", logging.ERROR, node=self.name, reason=reason)
        self._begin_drain(reason)

    def _task_failed(self, name: str, error: BaseException) -> None:
        if name == "start":  # `run` raises it
            return
        _log.error("task.failed", extra={"event_fields": {"task": name}}, exc_info=error)

    def _info(self) -> frames.InfoReply:
        return frames.InfoReply(
            identity=self.identity,
            instance=self.instance,
            region=self.region,
            state=self.state,
            servers={server.name: server.version for server in self.servers},
            in_flight=self.in_flight,
            uptime_s=round(self._clock.monotonic() - self._started_at, 3),
        )
