"""The other nodes of a server, as their announcements tell of them; a node hears them here for all its needs.

A node hears ``adv.<server>.*.*`` of its own region, on its own connection and within the permissions of
docs/binding.md 10, and asks nobody. One subscription serves all who listen: the watch over a canary, the
share of a limit that all nodes keep together, a bridge that must be alone, and the warning of this module for
nodes whose content differs.

A node that comes late knows nobody until the next heartbeats, 12 s at most. So others tell it at once, but
not all of them: who has something to say waits a random moment, and keeps still when one that is just like it
was faster (as hosts do that answer for a multicast group in IGMP). That is a few messages, however many nodes
there are.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

import msgspec

from longreach.clock import SYSTEM_CLOCK
from longreach.errors import LongreachError
from longreach.node.settings import new_instance
from longreach.observe import event
from longreach.wire import frames
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.transport.link import Headers, Link, Subscription

    Heard = Callable[[frames.Announcement], None]

_log = logging.getLogger("longreach.node.peers")
QUESTION = 0
"""The `seq` of a "down" that is a question: who wants to join the group asks who is there (M8.10)."""
_ANSWER_S = 0.25
_SETTLE_S = 0.5
"""What differs is logged so long after it was first heard, once for all that were heard until then."""
_MOST = 2_000
"""Nodes whose content differs that are remembered; of more, the one heard of first is forgotten."""
_NAMES = 20
_HINT = "same version, other content: callers get the one or the other; raise the version"


def encode_question(server: str, region: str, identity: str) -> tuple[str, bytes]:
    """Make a question who is in the group of a server in a region (M8.10).

    Returns:
        The instance in whose name it is asked, which is nobody's, and the announcement.
    """
    said = frames.Announcement(
        server=server,
        version="0",
        digest="",
        region=region,
        identity=identity,
        instance=new_instance(),
        state="down",
        seq=QUESTION,
        clock_ms=SYSTEM_CLOCK.wall_ms(),
    )
    return said.instance, msgspec.json.encode(said)


class Peers:
    """Hears the nodes of one server in one region, this one among them.

    Args:
        link: the connection.
        namespace: namespace token.
        region: the region, as configured.
        server: the server's name.
        version: its version on this node.
        me: (identity, instance) of this node, as configured.
        labels: of this node.
        digest: gives the digest of what this node offers; None: nothing yet.
        announce: announces the server again.
    """

    def __init__(
        self,
        link: Link,
        *,
        namespace: str,
        region: str,
        server: str,
        version: str,
        me: tuple[str, str],
        labels: dict[str, str],
        digest: Callable[[], str | None],
        announce: Callable[[], object],
    ) -> None:
        self._link = link
        self._root = f"{ROOT}.{namespace}.{encode_token(region)}.adv.{encode_token(server)}"
        self._server, self._version, self._region = server, version, region
        self._me = me
        self._labels = labels
        self._digest = digest
        self._announce = announce
        self._subscription: Subscription | None = None
        self._listeners: dict[Heard, None] = {}
        self._answer: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._differing: dict[tuple[str, str], str] = {}
        """The digests of nodes of the same version and another content."""
        self._told: dict[tuple[str, str], tuple[str, str]] = {}
        """(its digest, ours) of those that were logged."""

    def start(self) -> None:
        """Hear them; once more does nothing."""
        if self._subscription is None:
            self._subscription = self._link.subscribe(f"{self._root}.*.*", self._message)

    def close(self) -> None:
        """Hear no more."""
        if self._subscription is not None:
            self._link.unsubscribe(self._subscription)
            self._subscription = None
        for timer in (self._answer, self._settling):
            if timer is not None:
                timer.cancel()
        self._answer = self._settling = None

    def listen(self, heard: Heard) -> Callable[[], None]:
        """Call `heard` with each announcement, within the read loop; returns what ends that."""
        self._listeners[heard] = None
        return lambda: self._listeners.pop(heard, None) and None

    def ask(self) -> None:
        """Ask the others to announce themselves now: who just came knows nobody."""
        identity = self._me[0]
        instance, question = encode_question(self._server, self._region, identity)
        try:
            self._link.send(f"{self._root}.{encode_token(identity)}.{instance}", question)
        except LongreachError as error:  # when the link is back, everybody announces itself again
            event(_log, "question.skipped", logging.DEBUG, server=self._server, reason=str(error))

    def _message(self, subject: str, _: str, data: bytes, __: Headers | None) -> None:
        try:
            said = frames.decode(data, frames.Announcement)
        except msgspec.DecodeError as error:
            event(_log, "announcement.malformed", logging.WARNING, subject=subject, reason=str(error))
            return
        # The broker's permissions vouch for the subject, and only for that.
        if subject != f"{self._root}.{encode_token(said.identity)}.{encode_token(said.instance)}":
            return
        if self._subscription is None or said.server != self._server:
            return
        if (said.identity, said.instance) != self._me:
            self._compare(said)
        for heard in tuple(self._listeners):
            heard(said)

    def _compare(self, said: frames.Announcement) -> None:
        node, mine = (said.identity, said.instance), self._digest()
        if said.state == "down":
            self._forget(node)
            if said.seq == QUESTION:
                self._answer_soon()
        elif said.version != self._version or mine is None:
            self._forget(node)
        elif said.digest == mine:
            self._forget(node)
            if said.labels == self._labels and self._answer is not None:
                self._answer.cancel()  # it has said what this node would say
                self._answer = None
        else:
            if node not in self._differing:
                self._answer_soon()  # it does not know of this one
                if len(self._differing) >= _MOST:
                    self._forget(next(iter(self._differing)))
            self._differing[node] = said.digest
            if self._settling is None:
                self._settling = asyncio.get_running_loop().call_later(_SETTLE_S, self._settled)

    def _forget(self, node: tuple[str, str]) -> None:
        if self._differing.pop(node, None) is not None:
            self._told.pop(node, None)

    def _answer_soon(self) -> None:
        if self._answer is None:
            after_s = random.uniform(0, _ANSWER_S)  # noqa: S311 - jitter, no secret
            self._answer = asyncio.get_running_loop().call_later(after_s, self._answer_now)

    def _answer_now(self) -> None:
        self._answer = None
        self._announce()

    def _settled(self) -> None:
        """Log those that differ, each once as long as neither side changes."""
        self._settling = None
        mine = self._digest()
        if mine is None:
            return
        news = sorted(
            node
            for node, digest in self._differing.items()
            if digest != mine and self._told.get(node) != (digest, mine)
        )
        if not news:
            return
        self._told.update((node, (self._differing[node], mine)) for node in news)
        names = [f"{identity}.{instance}" for identity, instance in news[:_NAMES]]
        if len(news) > _NAMES:
            names.append(f"and {len(news) - _NAMES} more")
        event(
            _log, "group.differs", logging.WARNING, server=self._server, version=self._version,
            others=", ".join(names), hint=_HINT,
        )  # fmt: skip
