"""Discovery: what the mesh offers, kept up to date without asking anybody twice.

Announcements are heard as they come; `who` asks for them at once. What an announcement's digest stands
for is fetched when somebody needs that server (`Definitions`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

import msgspec

from longreach.client.definitions import Definitions
from longreach.client.vouching import Vouching
from longreach.errors import BrokerUnavailable, LongreachError
from longreach.observe import event
from longreach.policy.catalog import Catalog, Hearing
from longreach.wire import frames
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from longreach.client.inbox import Answer
    from longreach.client.questions import Questions
    from longreach.clock import Clock
    from longreach.policy.liveness import NodeId
    from longreach.tasks import TaskSet
    from longreach.transport.link import Headers, Link, Subscription

_log = logging.getLogger("longreach.client.discovery")

_WHO_QUIET_S = 0.08
"""`who` is over when nobody new has answered for so long: nodes answer within a jitter of 30 ms."""
_WHO_LIMIT_S = 0.5
_EXPIRE_EVERY_S = 5.0
_FORGET_S = 600.0


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
    ) -> None:
        self._link = link
        self._ask_every_s = ask_every_s
        self._questions = questions
        self._clock = clock
        self._tasks = tasks
        self._namespace = namespace
        self._regions = regions
        self._servers = frozenset(servers) if servers is not None else None
        self._subscriptions: list[Subscription] = []
        self._listeners: list[Callable[[Catalog, Catalog], None]] = []
        self._wanted: set[str] = set()
        self._wants_all = False
        self.catalog = Catalog()
        self._definitions = Definitions(self, link, questions, tasks)
        self.hearing = Hearing()
        self._asked_at = float("-inf")
        self._who_task: asyncio.Task[None] | None = None
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

    def on_change(self, listener: Callable[[Catalog, Catalog], None]) -> Callable[[], None]:
        """Tell `listener` the old and the new catalog at each change; returns what ends that."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def node_died(self, node: NodeId) -> None:
        """Liveness found a node dead: nothing is routed to it until it announces itself again."""
        self.replace(self.catalog.without_node(node.identity, node.instance))

    async def refresh(self, timeout_s: float = _WHO_LIMIT_S) -> None:
        """Ask `who`, and return when all who answer have, at most `timeout_s` later.

        Several who ask at the same time share one question.
        """
        await asyncio.wait({self._ask_who(timeout_s)})

    def _ask_who(self, timeout_s: float) -> asyncio.Task[None]:
        self.require_open()
        if self._who_task is None or self._who_task.done():
            self._asked_at = self._clock.monotonic()
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
        asked_at = self._asked_at  # the question may be another one's, and answered in part before we joined
        await asyncio.wait({asking})
        if not self._link.is_up:  # silence is ours
            return
        silent = [
            instance
            for instance in self.catalog.instances.values()
            if self.hearing.last_heard(instance) < asked_at
        ]
        catalog = self.catalog
        for instance in silent:
            catalog = catalog.without_node(instance.identity, instance.instance)
        self.replace(catalog)

    async def want(self, server: str) -> None:
        """Have the manifest and definitions of `server` in the catalog, as far as they can be had."""
        if any(self.catalog.of_server(server)):  # names that callers make up are not kept
            self._wanted.add(server)
        await self._definitions.complete({server})

    async def want_all(self) -> None:
        """Have everything in the catalog that is announced, now and from now on."""
        self._wants_all = True
        servers = {instance.server for instance in self.catalog.instances.values()}
        self._wanted |= servers
        await self._definitions.complete(servers)

    async def _who(self, timeout_s: float) -> None:
        if not self._link.is_up:
            return
        loop = asyncio.get_running_loop()
        token = self._questions.inbox.new_token(self._clock.wall_ms() + int(timeout_s * 1000) + 1000)
        heard = asyncio.Event()

        vouching = Vouching(
            self._questions, self._apply, self._clock.wall_ms() + int(timeout_s * 1000) + 1000
        )

        def answered(answer: Answer) -> None:
            if answer is not None:
                self._who_answered(answer, vouching, heard.set)
            heard.set()

        self._questions.inbox.gather(token, answered)
        end = loop.time() + timeout_s
        try:
            for region in self._regions if self._regions is not None else (None,):
                self._questions.post(self._questions.who_subject(region), b"{}", token)
            quiet_s = _WHO_QUIET_S + 2 * self._link.rtt_s
            while (left_s := end - loop.time()) > 0:
                heard.clear()
                try:
                    async with asyncio.timeout(min(quiet_s, left_s)):
                        await heard.wait()
                except TimeoutError:
                    if vouching.is_answered:
                        return
        except LongreachError as error:
            event(_log, "who.unsent", logging.DEBUG, reason=str(error))
        finally:
            self._questions.inbox.forget(token)
            vouching.close()

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
            return
        parts = subject.split(".")
        said = (announcement.region, announcement.server, announcement.identity, announcement.instance)
        if tuple(map(encode_token, said)) != (parts[3], parts[5], parts[6], parts[7]):
            event(_log, "announcement.forged", logging.WARNING, subject=subject)
            return
        self._apply(announcement)

    def _is_ours(self, announcement: frames.Announcement) -> bool:
        is_asked_for = self._servers is None or announcement.server in self._servers
        return is_asked_for and (self._regions is None or announcement.region in self._regions)

    def _apply(self, announcement: frames.Announcement) -> None:
        if not self._is_ours(announcement):
            return
        if not self.hearing.is_news(announcement):
            return
        if not self.hearing.has_room(announcement):
            event(_log, "announcement.ignored", logging.WARNING, identity=announcement.identity)
            return
        self.hearing.heard(announcement, self._clock.monotonic())
        self.replace(self.catalog.apply(announcement, self._clock.wall_ms()))
        wanted = self._wants_all or announcement.server in self._wanted
        if wanted and not self._closed and self._definitions.missing({announcement.server}):
            self._tasks.start(self.want(announcement.server), name=f"fetch {announcement.server}")

    def replace(self, catalog: Catalog) -> None:
        """Keep another catalog from now on, and tell whoever listens."""
        before = self.catalog
        if catalog is before:
            return
        self.catalog = catalog
        for listener in tuple(self._listeners):
            listener(before, catalog)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_EVERY_S)
            if self._link.is_up:
                now = self._clock.monotonic()
                self.replace(self.catalog.expire(now, self.hearing))
                self.hearing.forget_before(now - _FORGET_S)

    async def _ask_again(self, every_s: float) -> None:
        """A heartbeat each 12 s of every node is more than a thin link should carry."""
        while True:
            await asyncio.sleep(every_s * random.uniform(0.9, 1.0))  # noqa: S311 - jitter, no secret
            if self._link.is_up and not self._closed:
                await self.census()
