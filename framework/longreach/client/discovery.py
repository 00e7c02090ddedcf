"""Discovery: what the mesh offers, kept up to date without asking anybody twice.

Announcements are heard as they come; `who` asks for them at once. What an announcement's digest stands
for is fetched when somebody needs that server (`Definitions`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from longreach.client.definitions import Definitions
from longreach.client.vouching import Vouching
from longreach.errors import BrokerUnavailable, LongreachError
from longreach.listeners import Listeners
from longreach.observe import event
from longreach.policy.catalog import SILENT_S, Catalog, Hearing
from longreach.policy.limits import Buckets
from longreach.policy.seldom import Seldom
from longreach.wire import frames
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from longreach.client.inbox import Answer
    from longreach.client.questions import Questions
    from longreach.clock import Clock
    from longreach.policy.instances import Key
    from longreach.policy.liveness import NodeId
    from longreach.tasks import TaskSet
    from longreach.transport.link import Headers, Link, Subscription

_log = logging.getLogger("longreach.client.discovery")

_WHO_QUIET_S = 0.08
"""`who` is over when nobody new has answered for so long: nodes answer within a jitter of 30 ms.

Before the first answer silence says nothing, unless the broker says that nobody hears the question: on a busy
machine a node that took longer was believed not to be up."""
_WHO_LIMIT_S = 0.5
_WHO_RATE_PER_S = 1.0
_WHO_BURST = 10
"""All nodes answer each `who`: a client asks ten times at once, then once a second. Who asks more waits."""
_EXPIRE_EVERY_S = 5.0
_EXPIRE_AT_ONCE = 500
_FORGET_S = 600.0
MAX_SKEW_MS = 2000
"""How much of a node's clock being ahead of ours is allowed for; more is reported, not followed."""
_FETCH_AGAIN_S = 1.0
_FETCH_AGAIN_MOST_S = 15.0
_MAX_FAILED = 1000


class _Failed(NamedTuple):
    """A server whose offer could not be fetched: what was missing, and when heartbeats cause another try."""

    digests: frozenset[str]
    until: float
    pause_s: float


class Discovery:
    """Keeps the catalog of one client.

    Args:
        link: the connection.
        questions: asks `who` and for blobs.
        clock: the time.
        tasks: owns the fetches.
        namespace: namespace token.
        regions: the regions this client may hear and ask; None: all.
        servers: the servers it is about; None: all.
        ask_every_s: ask who is there so often, and hear no announcements; None: hear them.
        on_ignored: told the tokens of server and region of each announcement that is ignored.
    """

    def __init__(
        self,
        link: Link,
        questions: Questions,
        clock: Clock,
        tasks: TaskSet,
        *,
        namespace: str,
        regions: Sequence[str] | None,
        servers: Sequence[str] | None,
        ask_every_s: float | None = None,
        on_ignored: Callable[[str, str], None] = lambda server, region: None,
    ) -> None:
        self._link = link
        self._ask_every_s = ask_every_s
        self._on_ignored = on_ignored
        self._questions = questions
        self._clock = clock
        self._tasks = tasks
        self._namespace = namespace
        self._regions = regions
        self._servers = frozenset(servers) if servers is not None else None
        self._subscriptions: list[Subscription] = []
        self._listeners: Listeners[[Catalog, Catalog]] = Listeners("catalog")
        self._wanted: set[str] = set()
        self._wants_all = False
        self.catalog = Catalog()
        self._definitions = Definitions(self, link, questions, tasks)
        self.hearing = Hearing()
        self._who_task: asyncio.Task[float] | None = None
        self._who_rate = Buckets(_WHO_RATE_PER_S, _WHO_BURST)
        self._told = self.catalog  # what the listeners know
        self._telling: asyncio.Handle | None = None
        self._fetching: set[str] = set()
        self._failed: dict[str, _Failed] = {}
        self._seldom = Seldom()
        self._closed = False

    def open(self) -> None:
        """Hear announcements, and forget nodes that fell silent; or ask for them every so often."""
        if self._ask_every_s is not None:
            self._tasks.start(self._ask_again(self._ask_every_s), name="census")
            return
        for region in self._regions if self._regions is not None else ("*",):
            token = region if region == "*" else encode_token(region)
            for server in self._servers if self._servers is not None else ("*",):
                name = server if server == "*" else encode_token(server)
                subject = f"{ROOT}.{self._namespace}.{token}.adv.{name}.*.*"
                self._subscriptions.append(self._link.subscribe(subject, self._announced))
        self._tasks.start(self._expire(), name="expire")

    def close(self) -> None:
        """Hear no more, and ask no more."""
        self._closed = True
        for subscription in self._subscriptions:
            self._link.unsubscribe(subscription)
        self._subscriptions.clear()
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None

    def on_change(self, listener: Callable[[Catalog, Catalog], None]) -> Callable[[], None]:
        """Tell `listener` the old and the new catalog when it has changed; returns what ends that.

        All changes of one turn of the loop are told as one. `Catalog.moved` says what differs.
        """
        return self._listeners.add(listener)

    def node_died(self, node: NodeId) -> None:
        """Liveness found a node dead: nothing is routed to it until it announces itself again."""
        keys = [
            (node.identity, node.instance, server)
            for server in self.catalog.nodes.get((node.identity, node.instance), ())
        ]
        self._gone(keys)

    async def refresh(self, timeout_s: float = _WHO_LIMIT_S) -> None:
        """Ask `who`, and return when all who answer have, at most `timeout_s` later.

        Several who ask at the same time share one question.
        """
        await asyncio.wait({self._ask_who(timeout_s)})

    def _ask_who(self, timeout_s: float) -> asyncio.Task[float]:
        """The task that asks; its result is when (monotonic s) the question was sent."""
        self.require_open()
        if self._who_task is None or self._who_task.done():
            self._who_task = self._tasks.spawn(self._who(timeout_s), name="who")
        return self._who_task

    def require_open(self) -> None:
        """Raise if it is closed.

        Raises:
            BrokerUnavailable: it is.
        """
        if self._closed:
            raise BrokerUnavailable("the mesh is closed", retryable=False)

    async def census(self, timeout_s: float = _WHO_LIMIT_S) -> None:
        """Ask `who`, and forget every node that does not answer."""
        asking = self._ask_who(timeout_s)
        await asyncio.wait({asking})
        if not self._link.is_up or asking.cancelled() or asking.exception() is not None:  # silence is ours
            return
        self._gone(self.hearing.silent(asking.result()))
        self.hearing.forget_before(self._clock.monotonic() - _FORGET_S)
        self.tell()

    async def want(self, server: str) -> None:
        """Have the manifest and definitions of `server` in the catalog, as far as they can be had."""
        if server in self.catalog.servers:  # names that callers make up are not kept
            self._wanted.add(server)
        await self._definitions.complete({server})
        self.tell()

    async def want_all(self) -> None:
        """Have everything in the catalog that is announced, now and from now on."""
        self._wants_all = True
        servers = set(self.catalog.servers)
        self._wanted |= servers
        await self._definitions.complete(servers)
        self.tell()

    async def _who(self, timeout_s: float) -> float:
        """Ask everybody, and return when it was asked; the silence of a link that is down says nothing."""
        wait_s = self._who_rate.take("", self._clock.monotonic())
        if wait_s:
            self._who_rate.spend("")
            await asyncio.sleep(wait_s)
        asked_at = self._clock.monotonic()
        if not self._link.is_up:
            return float("-inf")
        loop = asyncio.get_running_loop()
        token = self._questions.inbox.new_token(self._clock.wall_ms() + int(timeout_s * 1000) + 1000)
        heard = asyncio.Event()
        regions = self._regions if self._regions is not None else (None,)
        open_in = len(regions)  # where nobody has answered, and somebody may hear it

        vouching = Vouching(
            self._questions, self._apply, self._clock.wall_ms() + int(timeout_s * 1000) + 1000
        )

        def answered(answer: Answer) -> None:
            nonlocal open_in
            if answer is None:
                open_in -= 1
            else:
                open_in = 0
                self._who_answered(answer, vouching, heard.set)
            heard.set()

        self._questions.inbox.gather(token, answered)
        end = loop.time() + timeout_s
        try:
            for region in regions:
                self._questions.post(self._questions.who_subject(region), b"{}", token)
            quiet_s = _WHO_QUIET_S + 2 * self._link.rtt_s
            while (left_s := end - loop.time()) > 0:
                heard.clear()
                try:
                    async with asyncio.timeout(min(quiet_s, left_s)):
                        await heard.wait()
                except TimeoutError:
                    if vouching.is_answered and open_in <= 0:
                        return asked_at
        except LongreachError as error:
            event(_log, "who.unsent", logging.DEBUG, reason=str(error))
            asked_at = float("-inf")
        finally:
            self._questions.inbox.forget(token)
            vouching.close()
            self.tell()
        return asked_at

    def _who_answered(self, answer: bytes, vouching: Vouching, on_answer: Callable[[], None]) -> None:
        try:
            announcements = frames.decode(answer, frames.WhoReply).announcements
        except msgspec.DecodeError as error:
            event(_log, "announcement.malformed", logging.WARNING, reason=str(error))
            return
        for announcement in announcements:
            # Nothing vouches for who answers: it takes nobody down, and is only where to ask further.
            if announcement.state == "up" and self._is_ours(announcement):
                vouching.hear(announcement, on_answer)

    def _announced(self, subject: str, _: str, data: bytes, __: Headers | None) -> None:
        try:
            if len(data) > frames.MAX_ANNOUNCEMENT_BYTES:
                raise msgspec.DecodeError(f"{len(data)} bytes are more than an announcement has")
            announcement = frames.decode(data, frames.Announcement)
        except msgspec.DecodeError as error:
            event(_log, "announcement.malformed", logging.WARNING, subject=subject, reason=str(error))
            self._on_ignored(*_place_of(subject))
            return
        parts = subject.split(".")
        said = (announcement.region, announcement.server, announcement.identity, announcement.instance)
        if tuple(map(encode_token, said)) != (parts[3], parts[5], parts[6], parts[7]):
            event(_log, "announcement.forged", logging.WARNING, subject=subject)
            self._on_ignored(*_place_of(subject))
            return
        self._apply(announcement)

    def _is_ours(self, announcement: frames.Announcement) -> bool:
        is_asked_for = self._servers is None or announcement.server in self._servers
        return is_asked_for and (self._regions is None or announcement.region in self._regions)

    def _apply(self, announcement: frames.Announcement) -> None:
        if not self._is_ours(announcement):
            return
        hearing, now, wall_ms = self.hearing, self._clock.monotonic(), self._clock.wall_ms()
        if not hearing.is_news(announcement):
            return
        if not hearing.has_room(announcement):
            self._report("announcement.ignored", announcement, now)
            self._on_ignored(encode_token(announcement.server), encode_token(announcement.region))
            return
        hearing.heard(announcement, now, wall_ms)
        if abs(announcement.clock_ms - wall_ms) > MAX_SKEW_MS:
            self._report("clock.skewed", announcement, now, skew_ms=announcement.clock_ms - wall_ms)
        self.replace(self.catalog.apply(announcement))
        server = announcement.server
        if (self._wants_all or server in self._wanted) and self.catalog.lacks(server) and not self._closed:
            self._fetch(server, announcement.digest, now)

    def _report(self, name: str, announcement: frames.Announcement, now: float, **more: int) -> None:
        """Log what is wrong with an announcement: the first, then once a minute, with how many there were."""
        count = self._seldom.due(name, now)
        if count is not None:
            node = f"{announcement.identity}.{announcement.instance}"
            event(_log, name, logging.WARNING, node=node, server=announcement.server, count=count, **more)

    def _fetch(self, server: str, digest: str, now: float) -> None:
        """Fetch what a server offers, once at a time, and not with each heartbeat if that has failed."""
        failed = self._failed.get(server)
        if server in self._fetching or (
            failed is not None and digest in failed.digests and now < failed.until
        ):
            return
        self._fetching.add(server)
        self._tasks.start(self._fetch_now(server), name=f"fetch {server}")

    async def _fetch_now(self, server: str) -> None:
        try:
            await self.want(server)
        finally:
            self._fetching.discard(server)
            failed = self._failed.pop(server, None)
            if self.catalog.lacks(server) and not self._closed:
                pause_s = _FETCH_AGAIN_S if failed is None else min(2 * failed.pause_s, _FETCH_AGAIN_MOST_S)
                if len(self._failed) >= _MAX_FAILED:
                    del self._failed[next(iter(self._failed))]
                digests = frozenset(self.catalog.digests_of(server))
                self._failed[server] = _Failed(digests, self._clock.monotonic() + pause_s, pause_s)

    def replace(self, catalog: Catalog) -> None:
        """Keep another catalog from now on; the listeners are told before the next turn of the loop."""
        if catalog is self.catalog:
            return
        self.catalog = catalog
        if self._telling is None and not self._closed:
            self._telling = asyncio.get_running_loop().call_soon(self.tell)

    def tell(self) -> None:
        """Tell the listeners now what has changed since they were told."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        before, after = self._told, self.catalog
        if before is after:
            return
        self._told = after
        self._listeners.tell(before, after)

    def _gone(self, keys: list[Key]) -> None:
        """These instances are there no more, until they announce themselves again."""
        self.hearing.left(keys, self._clock.monotonic())
        self.replace(self.catalog.without(keys))

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_EVERY_S)
            while self._link.is_up:
                now = self._clock.monotonic()
                silent = self.hearing.silent(now - SILENT_S, _EXPIRE_AT_ONCE)
                self._gone(silent)
                if len(silent) < _EXPIRE_AT_ONCE:
                    self.hearing.forget_before(now - _FORGET_S)
                    break
                await asyncio.sleep(0)

    async def _ask_again(self, every_s: float) -> None:
        """A heartbeat each 12 s of every node is more than a thin link should carry."""
        while True:
            await asyncio.sleep(every_s * random.uniform(0.9, 1.0))  # noqa: S311 - jitter, no secret
            if self._link.is_up and not self._closed:
                await self.census()


def _place_of(subject: str) -> tuple[str, str]:
    """Return the tokens of server and region of an announcement's subject, which the broker vouches for."""
    parts = subject.split(".")
    return parts[5], parts[3]
