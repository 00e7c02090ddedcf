"""What announcements stand for: manifests and definitions, each fetched once, by its digest.

It comes from a node that announced it; from another one where that fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Protocol

import msgspec
import tenacity

from longreach.errors import LongreachError, RemoteError
from longreach.observe import event
from longreach.wire import frames
from longreach.wire.digest import digest as digest_of
from longreach.wire.parts import MAX_PART_BYTES, PART, PartRequest, pack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from longreach.client.questions import Questions
    from longreach.policy.catalog import Catalog
    from longreach.policy.liveness import NodeId
    from longreach.tasks import TaskSet
    from longreach.transport.link import Link

_log = logging.getLogger("longreach.client.definitions")
_FETCH_TIMEOUT_S = 1.0
_PART_TIMEOUT_S = 5.0
"""For one range of at most 256 KiB: a link of 0.5 Mbit/s carries it in 4 s."""
_PARTS_TIMEOUT_S = 60.0
"""For all ranges of one definition."""
_DIGESTS_PER_ASK = 2000
_MAX_ROUNDS = 3
MAX_SERVER_BYTES = 64 * 1024 * 1024
"""So many bytes of definitions of one server are kept."""


class Shelf(Protocol):
    """Who keeps the catalog."""

    catalog: Catalog

    def replace(self, catalog: Catalog) -> None:
        """Keep another one from now on."""
        ...

    def require_open(self) -> None:
        """Raise if it is closed.

        Raises:
            BrokerUnavailable: it is.
        """
        ...


class Definitions:
    """Fetches what a catalog lacks.

    Args:
        shelf: keeps the catalog.
        link: the connection.
        questions: asks for blobs.
        tasks: owns the fetches.
    """

    def __init__(self, shelf: Shelf, link: Link, questions: Questions, tasks: TaskSet) -> None:
        self._shelf = shelf
        self._link = link
        self._questions = questions
        self._tasks = tasks
        self._fetching: dict[str, asyncio.Task[None]] = {}

    def missing(self, servers: Iterable[str]) -> list[tuple[str, tuple[NodeId, ...]]]:
        """What the catalog lacks of `servers`, by digest, and which nodes have it."""
        wanted = set(servers)
        return [(digest, holders) for digest, holders in self._shelf.catalog.missing(wanted) if holders]

    async def complete(self, servers: set[str]) -> None:
        """Fetch what `servers` announce: a manifest, what it names, what changed meanwhile.

        Each goes on as soon as it can: one whose nodes do not answer holds up no other. Servers whose nodes
        are the same are asked for together, those of other nodes apart, so that what a server costs does not
        depend on how many there are.

        Raises:
            BrokerUnavailable: it is closed.
        """
        self._shelf.require_open()
        groups: dict[NodeId | None, set[str]] = {}
        for server in servers:
            if self._shelf.catalog.lacks(server):
                holder = next((holders[0] for _, holders in self.missing({server})), None)
                groups.setdefault(holder, set()).add(server)
        first, *others = list(groups.values()) or [set[str]()]
        running = [self._tasks.spawn(self._complete(group), name="fetch") for group in others]
        try:
            await self._complete(first)
            if running:
                await asyncio.wait(running)
        finally:
            for task in running:
                task.cancel()

    async def _complete(self, servers: set[str]) -> None:
        begun: Counter[str] = Counter()
        while running := self._fetch(servers, begun):
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    def _fetch(self, servers: set[str], begun: Counter[str]) -> set[asyncio.Task[None]]:
        """Begin to fetch what is missing of `servers`; the tasks that do, somebody else's included.

        `begun` counts how often each digest was begun, so that what nobody has is given up.
        """
        self._shelf.require_open()
        plan: dict[NodeId, list[str]] = {}
        waiting: set[asyncio.Task[None]] = set()
        for digest, holders in self.missing(servers):
            running = self._fetching.get(digest)
            if running is not None:
                waiting.add(running)
            elif begun[digest] < _MAX_ROUNDS:
                plan.setdefault(holders[0], []).append(digest)
        for node, digests in plan.items():
            task = self._tasks.spawn(self._fetch_from(node, digests, servers), name=f"fetch from {node}")
            for digest in digests:
                self._fetching[digest] = task
                begun[digest] += 1
            waiting.add(task)
        return waiting

    async def _fetch_from(self, first: NodeId, digests: list[str], servers: set[str]) -> None:
        left = list(digests)
        denied: set[str] = set()
        try:
            async for attempt in tenacity.AsyncRetrying(
                stop=tenacity.stop_after_attempt(4),
                wait=tenacity.wait_random_exponential(multiplier=0.05, max=0.5),
                retry=tenacity.retry_if_exception_type(LongreachError),
                reraise=True,
            ):
                with attempt:
                    node = self._holder(left, servers, first, attempt.retry_state.attempt_number)
                    if node is None:
                        return
                    await self._pull(node, left, servers, denied)
        except LongreachError as error:
            # The nodes say that they cannot send these: what else their servers have is offered.
            self._shelf.replace(self._shelf.catalog.with_withheld(denied.intersection(left)))
            event(_log, "fetch.failed", logging.WARNING, node=str(first), reason=str(error))
        finally:
            for digest in digests:
                self._fetching.pop(digest, None)

    def _holder(self, left: list[str], servers: set[str], first: NodeId, attempt: int) -> NodeId | None:
        holders = [node for digest, nodes in self.missing(servers) if digest in left for node in nodes]
        if not holders:
            return None
        return first if attempt == 1 and first in holders else holders[(attempt - 1) % len(holders)]

    def _require_bounds(self, servers: set[str]) -> None:
        """Fetch no more of a server that offers definitions without end."""
        for server in servers:
            if self._shelf.catalog.bytes_of(server) > MAX_SERVER_BYTES:
                raise LongreachError(f"{server} offers more than {MAX_SERVER_BYTES} bytes of definitions")

    async def _pull(self, node: NodeId, left: list[str], servers: set[str], denied: set[str]) -> None:
        """Ask `node` for what is `left` until it has sent it all; `left` shrinks as it arrives.

        What it says that it cannot send is added to `denied`.
        """
        subject = self._questions.node_subject(node.region, node.identity, node.instance, "blobs")
        failed: set[str] = set()
        while left:
            self._require_bounds(servers)
            asked = left[:_DIGESTS_PER_ASK]
            body = msgspec.json.encode(frames.BlobsRequest(asked))
            answer = await self._questions.ask(subject, body, _FETCH_TIMEOUT_S + 4 * self._link.rtt_s)
            try:
                reply = frames.decode(answer, frames.BlobsReply)
            except msgspec.DecodeError as error:  # another node may do better
                raise RemoteError(f"{node} sent no blobs: {error}") from error
            got = frames.by_digest(reply)
            denied.update(reply.missing)
            self._shelf.replace(self._shelf.catalog.with_blobs(got))
            for digest, size in reply.parts.items():
                if digest not in asked or digest in got or digest in failed:
                    continue
                try:
                    got[digest] = await self._pull_parts(node, digest, size, servers)
                except LongreachError as error:  # it hides no other: those come first, then it is tried again
                    failed.add(digest)
                    self._shelf.replace(self._shelf.catalog.with_withheld({digest}))
                    event(_log, "parts.failed", logging.WARNING, node=str(node), reason=str(error))
                else:
                    self._shelf.replace(self._shelf.catalog.with_blobs({digest: got[digest]}))
            still = [digest for digest in left if digest not in got]
            if len(still) == len(left):
                raise LongreachError(f"{node} announced what it does not have")
            left[:] = still

    async def _pull_parts(self, node: NodeId, digest: str, size: int, servers: set[str]) -> bytes:
        """Fetch a definition that no message holds, one range after the other.

        Raises:
            LongreachError: it is too large to keep, did not come in time, or is not what was announced.
        """
        held = max((self._shelf.catalog.bytes_of(server) for server in servers), default=0)
        if held + size > MAX_SERVER_BYTES:
            raise LongreachError(
                f"a definition of {size} bytes is over the limit of {MAX_SERVER_BYTES} bytes"
            )
        subject = self._questions.node_subject(node.region, node.identity, node.instance, PART)
        data = bytearray()
        try:
            async with asyncio.timeout(_PARTS_TIMEOUT_S):
                while len(data) < size:
                    asked = PartRequest(digest, len(data), min(MAX_PART_BYTES, size - len(data)))
                    wait_s = _PART_TIMEOUT_S + 4 * self._link.rtt_s
                    part = await self._questions.ask(subject, pack(asked), wait_s)
                    if not part:
                        raise RemoteError(f"{node} has no longer what it announced")
                    data += part
        except TimeoutError:
            raise LongreachError(
                f"a definition of {size} bytes did not come in {_PARTS_TIMEOUT_S:g} s"
            ) from None
        whole = bytes(data)
        if digest_of(whole) != digest:
            raise RemoteError(f"{node} sent a definition that is not the one it announced")
        return whole
