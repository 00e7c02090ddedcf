"""Where an answer goes, and what becomes of it while the link is down.

A node never publishes to a reply subject as it came: the broker does not check who put it there. It
builds the subject from its own region, the `via` and `caller` of the request's subject, which the
broker's permissions vouch for, and the last two tokens of the reply (docs/binding.md, Replies).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from longreach.clock import Clock
from longreach.errors import LongreachError, TooLarge
from longreach.observe import event
from longreach.transport.link import MAX_SUBJECT_BYTES, Headers, Link
from longreach.wire import codes, jsonrpc
from longreach.wire.callid import read_call, reply_tail
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import is_token

_log = logging.getLogger("longreach.node.replies")

BARE_INBOX = "_INBOX."
_MAX_CONNECTIONS = 10_000
_AGAIN_S = 0.05
"""How soon a result is tried again that a busy link refused: it stays up, and nothing tells of its room."""
_NO_SUBJECT = frozenset("*> ")


class ReplyRoute(msgspec.Struct, frozen=True, gc=False):
    """Where one request is answered, and what its asker says about it.

    `key` names the call on this node: ``via.caller.connection.call``, so that nobody can ask about,
    or cancel, a call of somebody else's. `scope` is its first three tokens.
    """

    subject: str
    key: str
    scope: str
    call: str
    deadline_ms: int
    frames: bool


class _Held(NamedTuple):
    subject: str
    data: bytes
    deadline_ms: int
    headers: Headers | None = None


class Replies:
    """Builds reply subjects and sends answers; holds results while the link is down.

    Args:
        link: the connection.
        namespace_token: the node's namespace, encoded.
        region_token: the node's region, encoded.
        clock: the time.
        bare_inboxes: whether ``_INBOX.`` replies are honoured.
        max_held: how many results are held at the most; the oldest goes first.
        max_held_bytes: and how many bytes.
    """

    def __init__(
        self,
        link: Link,
        namespace_token: str,
        region_token: str,
        clock: Clock,
        *,
        bare_inboxes: bool = False,
        max_held: int = 1000,
        max_held_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._link = link
        self._clock = clock
        self._prefix = f"{ROOT}.{namespace_token}.{region_token}.rep."
        self._bare_inboxes = bare_inboxes
        self._max_held = max_held
        self._max_held_bytes = max_held_bytes
        self._held: deque[_Held] = deque()
        self._held_bytes = 0
        self._scopes: dict[tuple[str, str, str], str] = {}
        self._again: asyncio.TimerHandle | None = None
        self.large: Callable[[ReplyRoute, jsonrpc.RequestId | None, bytes], bool] | None = None
        """Takes a result that no message holds; False: its asker does not understand parts."""

    @property
    def held(self) -> int:
        """How many results wait for the link."""
        return len(self._held)

    def route(self, reply: str, via: str, caller: str) -> ReplyRoute | None:
        """Where to answer a request of `via`.`caller` that named `reply`; None: nowhere."""
        head, _, call = reply.rpartition(".")
        scope = self._scopes.get((head, via, caller)) or self._new_scope(head, via, caller)
        said = read_call(call) if scope else None
        if scope is None or said is None:
            return self._bare(reply, via, caller)
        key = f"{scope}.{call}"
        return ReplyRoute(self._prefix + key, key, scope, call, int(said[2], 16), said[3] == "f")

    def _new_scope(self, head: str, via: str, caller: str) -> str | None:
        """The scope of an asker whose reply subject begins with `head`; the same in all its calls."""
        tail = reply_tail(f"{head}.0")
        # The broker lets nearly any byte into a subject: what is no token here could not be published to.
        if tail is None or not (is_token(via) and is_token(caller)):
            return None
        if len(self._scopes) >= _MAX_CONNECTIONS:
            self._scopes.clear()
        scope = self._scopes[head, via, caller] = f"{via}.{caller}.{tail[0]}"
        return scope

    def _bare(self, reply: str, via: str, caller: str) -> ReplyRoute | None:
        if not (self._bare_inboxes and reply.startswith(BARE_INBOX)):
            return None
        if not (reply.isascii() and reply.isprintable()) or not _NO_SUBJECT.isdisjoint(reply):
            return None
        if len(reply) > MAX_SUBJECT_BYTES:
            return None
        scope = f"{via}.{caller}.{BARE_INBOX}"
        return ReplyRoute(reply, scope + reply, scope, reply, 0, frames=False)

    def offer(self, route: ReplyRoute, data: bytes, headers: Headers) -> None:
        """Send what takes the place of a response: held, as one is, while the link is down."""
        try:
            self._link.send(route.subject, data, headers=headers)
        except TooLarge:
            event(_log, "result.dropped", logging.WARNING, why="larger than the broker carries")
        except LongreachError:
            self._hold(_Held(route.subject, data, route.deadline_ms, headers))

    def frame(self, route: ReplyRoute, data: bytes, headers: Headers | None) -> None:
        """Send a frame that may be lost: nothing is held, no error is raised."""
        try:
            self._link.send(route.subject, data, headers=headers)
        except LongreachError as error:
            event(_log, "frame.dropped", logging.DEBUG, reason=str(error))

    def respond(self, route: ReplyRoute, request_id: jsonrpc.RequestId | None, data: bytes) -> None:
        """Send the response of a request that was carried out, or an error in place of what is too large.

        Like `refuse` it raises nothing: that would hit whoever ends the call, and the calls that end next.
        """
        try:
            self._link.send(route.subject, data)
        except TooLarge as error:
            if self.large is not None and self.large(route, request_id, data):
                return
            event(_log, "result.too_large", logging.WARNING, bytes=len(data), call=route.call)
            text = f"it ran, but its result cannot be sent: {error}"
            reason = {"reason": codes.RESULT_TOO_LARGE}
            small = jsonrpc.encode_error(request_id, codes.INTERNAL_ERROR, text, reason)
            self.refuse(route, small)
        except LongreachError:
            self._hold(_Held(route.subject, data, route.deadline_ms))

    def refuse(self, route: ReplyRoute, data: bytes) -> None:
        """Send a response that is small but for the asker's own id; one that it bloats is dropped."""
        try:
            self.send(route, data)
        except TooLarge:
            event(_log, "result.dropped", logging.WARNING, why="larger than the broker carries")

    def send(self, route: ReplyRoute, data: bytes) -> None:
        """Send the one response of a request, or hold it until the link is back or its deadline.

        Raises:
            TooLarge: the broker does not carry so much; the caller of `send` answers with an error.
        """
        try:
            self._link.send(route.subject, data)
        except TooLarge:
            raise
        except LongreachError:
            self._hold(_Held(route.subject, data, route.deadline_ms))

    def _hold(self, held: _Held) -> None:
        self._held.append(held)
        self._held_bytes += len(held.data)
        while len(self._held) > self._max_held or self._held_bytes > self._max_held_bytes:
            dropped = self._held.popleft()
            self._held_bytes -= len(dropped.data)
            event(_log, "result.dropped", logging.WARNING, why="too many results wait for the broker")
        if self._link.is_up and self._again is None:
            self._again = asyncio.get_running_loop().call_later(_AGAIN_S, self.release)

    def close(self) -> None:
        """Nothing more is sent."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._held.clear()
        self._held_bytes = 0

    def release(self) -> None:
        """The link is back: send what is held and still wanted."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        waiting, self._held, self._held_bytes = self._held, deque(), 0
        now_ms = self._clock.wall_ms()
        for held in waiting:
            if held.deadline_ms and held.deadline_ms < now_ms:
                continue
            try:
                self._link.send(held.subject, held.data, headers=held.headers)
            except TooLarge:  # the new broker allows less than the old one did
                event(_log, "result.dropped", logging.WARNING, why="larger than the broker carries")
            except LongreachError:
                self._hold(held)
