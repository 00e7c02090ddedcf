"""What a node tells of itself: announcements, answers to `who`, and blobs by digest.

Soft state: an announcement is repeated as a heartbeat, and is the same message whether it is sent
because something changed, because time passed or because somebody asked.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Literal

import msgspec

from longreach.actor.spec import OFFER_KINDS
from longreach.errors import ConfigError, LongreachError, TooLarge
from longreach.observe import event
from longreach.policy.limits import Buckets
from longreach.policy.seldom import Seldom
from longreach.wire import frames
from longreach.wire.manifest import Bundle, Offer, build_bundle, decode_manifest
from longreach.wire.parts import HEAD_BYTES, MAX_PART_BYTES, PartRequest, understands
from longreach.wire.subjects import Adv
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from longreach.actor.server import Server
    from longreach.clock import Clock
    from longreach.node.events import ListKind
    from longreach.node.replies import Replies, ReplyRoute
    from longreach.node.tally import Tally
    from longreach.transport.link import Link

_log = logging.getLogger("longreach.node.announcer")
_JITTER_S = 0.03
_AGAIN_S = 1.0
_WHO_PER_S, _WHO_BURST = 2.0, 30
"""A connection asks ten times at once and then once a second at the most; more is a mistake, or an attack."""
_ALL_WHO_PER_S, _ALL_WHO_BURST = 1000.0, 2000
"""An answer costs about 30 µs: 3 % of a core. When a broker is back, all its clients ask at once."""
_REPLY_SHARE = 0.25
"""A batch of blobs is at most this share of max_payload: one message must not hold up a thin link."""
_ENVELOPE_BYTES = len(b'{"blobs":[],"missing":[]}')
_BYTES_EACH = 26
"""A digest in a list takes so many bytes at the most."""
_MIN_REPLY_BYTES = 64 * 1024
_OFFERED = 64
"""So many definitions are offered in parts in one answer; they take 3 KiB at the most."""
_WHO_BYTES = 256 * 1024
_WHO_FRAME_BYTES = 32
"""An answer to `who` that is larger goes in several messages. Around the announcements are 20 bytes."""
_DIGEST_CHARS = 22
_MAX_COUNT = 2**53 - 1


def offer_of(server: Server) -> Offer:
    """What `server` offers now, as its manifest has it."""
    listed = {
        kind: [spec.listed for spec in tuple(server.offered(kind).values()) if spec.listed is not None]
        for kind in OFFER_KINDS
    }
    return Offer(
        tools=listed["tool"],
        prompts=listed["prompt"],
        resources=listed["resource"],
        templates=listed["template"],
        completions=bool(server.offered("completion")),
        ttl_ms=round(server.list_ttl_s * 1000),
        cache_scope=server.cache_scope,
        tags=server.tags,
    )


def _changed_lists(before: bytes, after: bytes) -> list[ListKind]:
    old, new = decode_manifest(before), decode_manifest(after)
    changed: list[ListKind] = []
    if old.tools != new.tools:
        changed.append("tools")
    if old.prompts != new.prompts:
        changed.append("prompts")
    if (old.resources, old.templates) != (new.resources, new.templates):
        changed.append("resources")
    return changed


class Announcer:
    """Announces the servers of one node.

    Args:
        link: the connection.
        replies: sends answers.
        clock: the time.
        namespace: namespace token.
        region: the region, as configured (not a token).
        identity: the node's identity, as configured.
        instance: the node's instance.
        labels: the node's labels.
        every_s: the heartbeat.
    """

    def __init__(
        self,
        link: Link,
        replies: Replies,
        clock: Clock,
        *,
        namespace: str,
        region: str,
        identity: str,
        instance: str,
        labels: Mapping[str, str],
        every_s: float,
    ) -> None:
        self._link = link
        self._replies = replies
        self._clock = clock
        self._namespace = namespace
        self._region = region
        self._identity = identity
        self._instance = instance
        self._labels = dict(labels)
        self._every_s = every_s
        self._bundles: dict[str, tuple[Server, Bundle]] = {}
        self._blobs: dict[str, bytes] = {}
        self.weights: dict[str, int | None] = {}
        """Of servers that are canaries, their share of calls in percent."""
        self.tallies: Mapping[str, Tally] = {}
        """By server, what became of its calls here."""
        self._seq = 0
        self._longest = 0
        self._who_of_one = Buckets(_WHO_PER_S, _WHO_BURST)
        self._who_of_all = Buckets(_ALL_WHO_PER_S, _ALL_WHO_BURST)
        self._seldom = Seldom()
        self._too_large: set[str] = set()
        """Digests of definitions that no message holds, and that were logged."""

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each server that is announced."""
        return {name: bundle.digest for name, (_, bundle) in self._bundles.items()}

    def digest_of(self, server: str) -> str | None:
        """The digest of a server that is announced; None: it is not."""
        found = self._bundles.get(server)
        return None if found is None else found[1].digest

    def check(self, server: Server) -> None:
        """Make sure that callers take the announcement of `server`, however high its counts become.

        Raises:
            ConfigError: they would ignore it, and never ask this node about a call that may be on it.
        """
        most = frames.Stats(_MAX_COUNT, _MAX_COUNT)
        longest = self._announced(server, "x" * _DIGEST_CHARS, "down", _MAX_COUNT, _MAX_COUNT, 99, most)
        try:
            data = msgspec.json.encode(longest)
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"server {server.name!r} cannot be announced: a label of the node "
                f"is not valid Unicode: {error.object!r}"
            ) from None
        limit = frames.MAX_ANNOUNCEMENT_BYTES
        if len(data) > limit:
            raise ConfigError(
                f"server {server.name!r} cannot be announced: its name, its version and the node's labels "
                f"make {len(data):,} bytes, and callers take {limit:,} at the most; shorten the labels"
            )
        try:
            _ = frames.decode(data, frames.Announcement)
        except msgspec.DecodeError as error:
            raise ConfigError(f"server {server.name!r} cannot be announced: {error}") from None
        self._longest = max(self._longest, len(data))

    def check_fits(self) -> None:
        """Make sure that the broker carries the announcements.

        Raises:
            ConfigError: it does not.
        """
        limit = self._link.max_payload
        if self._longest > limit:
            raise ConfigError(
                f"this node cannot be announced: its servers' versions and its labels make up to "
                f"{self._longest:,} bytes, and the broker carries {limit:,} (max_payload); shorten the "
                "labels, or raise max_payload"
            )

    def refused(self, subject: str) -> str | None:
        """Say what to grant if `subject`, on which the broker lets us not publish, is one of announcements.

        Args:
            subject: in lower case, as the broker names it.
        """
        for name in self._bundles:
            mine = self._subject(name)
            if mine.lower() == subject.lower():
                return (
                    f"the broker's permissions do not let this node announce server {name!r}: "
                    f"let it publish to {mine.rpartition('.')[0]}.*; "
                    "`longreach subject` prints what a node needs"
                )
        return None

    def offer(self, server: Server, *, now: bool = True) -> list[ListKind]:
        """Announce `server` as it is now; the same again is no change, but is sent.

        Args:
            server: what is announced.
            now: at once; otherwise `announce` does it.

        Returns:
            The lists that have changed since it was announced before.
        """
        before = self._bundles.get(server.name)
        bundle = build_bundle(
            server.name,
            server.version,
            title=server.title,
            instructions=server.instructions,
            offer=offer_of(server),
        )
        self._bundles[server.name] = (server, bundle)
        self._blobs = {}
        for _, known in self._bundles.values():
            self._blobs[known.digest] = known.manifest
            self._blobs.update(known.blobs)
        if now:
            self._publish(server.name, "up")
        return [] if before is None else _changed_lists(before[1].manifest, bundle.manifest)

    def withdraw(self) -> None:
        """Announce that every server of this node is gone."""
        for name in self._bundles:
            self._publish(name, "down")
        self._bundles.clear()

    def announce(self, server: str | None = None) -> bool:
        """Announce every server now, or one of those that are announced.

        Returns:
            Whether the link took every announcement.
        """
        taken = [self._publish(name, "up") for name in self._bundles if server is None or name == server]
        return all(taken)

    async def beat(self) -> None:
        """Repeat the announcements as a heartbeat, until cancelled; what the link refuses, soon again."""
        every_s = self._every_s
        while True:
            await asyncio.sleep(every_s * random.uniform(0.9, 1.0))  # noqa: S311 - jitter, no secret
            every_s = self._every_s if self.announce() else min(self._every_s, _AGAIN_S)

    def may_answer_who(self, asker: str) -> bool:
        """Whether it is time to answer `who` once more; what is not answered is logged once a minute.

        Args:
            asker: the connection that asks, under the name that the broker vouches for.
        """
        now = self._clock.monotonic()
        if not self._who_of_one.take(asker, now) and not self._who_of_all.take("", now):
            return True
        count = self._seldom.due("who.limited", now)
        if count is not None:
            event(_log, "who.limited", logging.WARNING, asker=asker, count=count)
        return False

    async def answer_who(self, route: ReplyRoute) -> None:
        """Tell one asker everything, after a jitter that keeps many nodes from answering as one."""
        await asyncio.sleep(random.uniform(0, _JITTER_S))  # noqa: S311 - jitter, no secret
        room = min(self._link.max_payload, _WHO_BYTES) - _WHO_FRAME_BYTES
        pending: list[frames.Announcement] = []
        size = 0
        for name in tuple(self._bundles):
            announcement = self._announcement(name, "up")
            bytes_more = len(msgspec.json.encode(announcement)) + 1
            if pending and size + bytes_more > room:
                self._answer_who(route, pending)
                pending, size = [], 0
            pending.append(announcement)
            size += bytes_more
        self._answer_who(route, pending)

    def _answer_who(self, route: ReplyRoute, announcements: list[frames.Announcement]) -> None:
        try:
            self._replies.send(route, msgspec.json.encode(frames.WhoReply(announcements=announcements)))
        except TooLarge as error:
            event(_log, "announcement.too_large", logging.ERROR, reason=str(error))

    def announcement_of(self, server_token: str) -> frames.Announcement | msgspec.UnsetType:
        """How one server is announced, if it is."""
        for name in self._bundles:
            if encode_token(name) == server_token:
                return self._announcement(name, "up")
        return msgspec.UNSET

    def answer_blobs(self, route: ReplyRoute, wanted: list[str]) -> None:
        """Send as many whole blobs of those wanted as fit into one message; the asker asks again.

        What no message of this broker holds is `missing`: it must not hide the others. Askers that understand
        parts are told its size, and fetch it with `give_part`.
        """
        most = self._link.max_payload
        limit = min(max(_MIN_REPLY_BYTES, int(most * _REPLY_SHARE)), most)
        wanted = wanted[: most // 2 // _BYTES_EACH]  # all of them may be missing, and their names have to fit
        blobs = {each: self._blobs[each] for each in wanted if each in self._blobs}
        sizes: dict[str, int] = {}
        for digest in [digest for digest, data in blobs.items() if len(data) + _ENVELOPE_BYTES > most]:
            data = blobs.pop(digest)
            self._report_large(digest, data, most)
            if len(sizes) < _OFFERED and understands(route.scope):
                sizes[digest] = len(data)
        reply, sent = frames.pack_blobs(blobs, wanted, limit, sizes)
        if len(reply) > most:  # one that fits only if it is alone
            reply, _ = frames.pack_blobs(blobs, sent[:1], limit)
        self._replies.send(route, reply)

    def has(self, digest: str) -> bool:
        """Return whether a definition or manifest of that digest is announced."""
        return digest in self._blobs

    def give_part(self, route: ReplyRoute, asked: PartRequest) -> None:
        """Send a range of a definition, whose digest stands in the place of a call.

        Nothing is kept for an asker, so that nothing is charged: the bytes of a digest are here as long as
        they are announced, and never change. A range beyond the end, or of what has gone, is empty.
        """
        if not asked.bytes:
            return
        if not self._replies.has_room:
            self._replies.later(lambda: self._give_part(route, asked))
        else:
            self._give_part(route, asked)

    def _give_part(self, route: ReplyRoute, asked: PartRequest) -> None:
        size = min(asked.bytes, MAX_PART_BYTES, max(1, self._link.max_payload - HEAD_BYTES))
        self._replies.frame(route, self._blobs.get(asked.call, b"")[asked.at : asked.at + size], None)

    def _report_large(self, digest: str, data: bytes, most: int) -> None:
        """Log a definition that no message holds, the first time that somebody asks for it."""
        if digest in self._too_large:
            return
        self._too_large &= self._blobs.keys()
        self._too_large.add(digest)
        owner = next((n for n, (_, b) in self._bundles.items() if digest in (b.digest, *b.blobs)), None)
        event(
            _log, "definition.too_large", logging.WARNING, server=owner, digest=digest, bytes=len(data),
            max_payload=most, begins=data[:80].decode(errors="replace"),
        )  # fmt: skip

    def _announcement(self, name: str, state: Literal["up", "down"]) -> frames.Announcement:
        server, bundle = self._bundles[name]
        self._seq += 1
        weight, tally = self.weights.get(name), self.tallies.get(name)
        stats = msgspec.UNSET if tally is None else tally.stats
        return self._announced(server, bundle.digest, state, self._seq, self._clock.wall_ms(), weight, stats)

    def _announced(
        self,
        server: Server,
        digest: str,
        state: Literal["up", "down"],
        seq: int,
        clock_ms: int,
        weight: int | None,
        stats: frames.Stats | msgspec.UnsetType,
    ) -> frames.Announcement:
        return frames.Announcement(
            server=server.name,
            version=server.version,
            digest=digest,
            region=self._region,
            identity=self._identity,
            instance=self._instance,
            state=state,
            seq=seq,
            clock_ms=clock_ms,
            labels=self._labels,
            canary=msgspec.UNSET if weight is None else weight,
            stats=stats,
        )

    def _subject(self, name: str) -> str:
        tokens = map(encode_token, (self._region, name, self._identity, self._instance))
        return Adv(self._namespace, *tokens).subject()

    def _publish(self, name: str, state: Literal["up", "down"]) -> bool:
        try:
            self._link.send(self._subject(name), msgspec.json.encode(self._announcement(name, state)))
        except TooLarge as error:  # it will not become smaller by waiting
            event(_log, "announcement.too_large", logging.ERROR, server=name, reason=str(error))
            return False
        except LongreachError as error:  # the link's return, or the next heartbeat, announces it again
            event(_log, "announcement.skipped", logging.DEBUG, server=name, reason=str(error))
            return False
        return True
