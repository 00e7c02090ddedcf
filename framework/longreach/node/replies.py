"""Where an answer goes, and what becomes of it while the link has no room for it, or is down.

A node never publishes to a reply subject as it came: the broker does not check who put it there. It
builds the subject from its own region, the `via` and `caller` of the request's subject, which the
broker's permissions vouch for, and the last two tokens of the reply (docs/binding.md, Replies).

A call is here, by the node's book, until its response was handed to the connection. Only then may the node
say "gone" or "done" of it; both take the same connection, so that neither overtakes the response.

What the link does not take now is held, in two queues:

- *small* messages (`SMALL_BYTES`: errors, answers to questions, most results) are sent as long as the link
  takes anything, and go before the large ones: on a thin link, 16 MiB of results in front of "I still have
  your call" would make every call here look stuck. A response that is small is held whatever the number; when
  `SMALL_ROOM_BYTES` of them wait, new calls are refused as busy, so that those which are here bound the rest.
- *large* ones are sent while the link `has_room`, one after the other, and go on when it says that it has
  room again. What exceeds `max_held_bytes` goes into parts, which its asker pulls (`node.results`); an asker
  that takes no parts gets an error, which is small.

So nothing is dropped but what nobody waits for any more (its deadline passed, its asker cancelled it), and
what never ran: refusals and answers beyond the room of small messages, which are asked for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import msgspec

from longreach.clock import Clock
from longreach.errors import LongreachError, TooLarge
from longreach.observe import event
from longreach.policy.calls import CallBook
from longreach.transport.link import MAX_SUBJECT_BYTES, Headers, Link
from longreach.turns import Drain
from longreach.wire import codes, jsonrpc
from longreach.wire.callid import read_call, reply_tail
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import is_token

_log = logging.getLogger("longreach.node.replies")

BARE_INBOX = "_INBOX."
_MAX_CONNECTIONS = 10_000
SMALL_BYTES = 4 * 1024
"""What is not larger overtakes what is."""
SMALL_ROOM_BYTES = 16 * 1024 * 1024
"""So much of what is small waits; then no call is taken any more. About 25,000 errors."""
MAX_HELD_BYTES = 16 * 1024 * 1024
"""So much of what is large waits as it is; more goes into parts."""
_ENTRY_BYTES = 500
"""What a held message costs beside its body."""
_BARE_TIMEOUT_MS = 60_000
"""How long a response is held whose asker states no deadline."""
_MAX_LATER = 4096
"""So many parts of results wait for room; more are not sent, and asked for again."""
_NAMED = 20
"""So many calls are named where results are given up."""
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


class _Held:
    """A message that waits for the link.

    `ends`: it is the response of a call in the book.
    """

    __slots__ = ("data", "deadline_ms", "ends", "headers", "request_id", "route", "wanted")

    def __init__(
        self,
        route: ReplyRoute,
        data: bytes,
        deadline_ms: int,
        *,
        ends: bool,
        request_id: jsonrpc.RequestId | None = None,
        headers: Headers | None = None,
    ) -> None:
        self.route = route
        self.data = data
        self.deadline_ms = deadline_ms
        self.ends = ends
        self.request_id = request_id
        self.headers = headers
        self.wanted = True

    @property
    def cost(self) -> int:
        """What it takes of a room, in bytes."""
        return len(self.data) + _ENTRY_BYTES


class _Queue:
    """Held messages in order, and how much they are."""

    def __init__(self) -> None:
        self.messages: deque[_Held] = deque()
        self.bytes = 0
        self.count = 0

    def put(self, held: _Held) -> None:
        self.messages.append(held)
        self.bytes += held.cost
        self.count += 1

    def first(self) -> _Held | None:
        """The one that is next, which stays."""
        while self.messages and not self.messages[0].wanted:
            self.messages.popleft()
        return self.messages[0] if self.messages else None

    def remove(self, held: _Held) -> None:
        held.wanted = False
        self.bytes -= held.cost
        self.count -= 1


class Replies:
    """Builds reply subjects and sends answers; holds those that the link does not take now.

    Args:
        link: the connection.
        namespace_token: the node's namespace, encoded.
        region_token: the node's region, encoded.
        clock: the time.
        book: the calls that are here; told which have ended, once their response was handed to the link.
        bare_inboxes: whether ``_INBOX.`` replies are honoured.
        max_held_bytes: how much of what is not small is held as it is.
    """

    def __init__(
        self,
        link: Link,
        namespace_token: str,
        region_token: str,
        clock: Clock,
        *,
        book: CallBook | None = None,
        bare_inboxes: bool = False,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._link = link
        self._clock = clock
        self._book = CallBook() if book is None else book
        self._prefix = f"{ROOT}.{namespace_token}.{region_token}.rep."
        self._bare_inboxes = bare_inboxes
        self._max_held_bytes = max_held_bytes
        self._small = _Queue()
        self._large = _Queue()
        self._of_call: dict[str, _Held] = {}
        self._later: deque[Callable[[], None]] = deque()
        self._release = Drain(self._release_one, clock.monotonic)
        self._watching = False
        self._closed = False
        self._pruned_at = 0.0
        self._empty = asyncio.Event()
        self._empty.set()
        self._scopes: dict[tuple[str, str, str], str] = {}
        self.is_full = False
        """Whether so much waits that no call is to be taken."""
        self.large: Callable[[ReplyRoute, jsonrpc.RequestId | None, bytes], bool] | None = None
        """Takes a result that no message holds; False: its asker does not understand parts."""

    @property
    def held(self) -> int:
        """How many messages wait for the link."""
        return self._small.count + self._large.count

    @property
    def held_bytes(self) -> int:
        """How much they are, with what each costs beside its body."""
        return self._small.bytes + self._large.bytes

    @property
    def has_room(self) -> bool:
        """Return whether what is large would be sent now, and overtakes nothing that waits.

        Ranges of one body must keep their order: who pulls them has no use for a later one, and asks for all
        of them again after 2 s.
        """
        return not self._large.count and not self._later and self._link.has_room

    def waiting(self, key: str) -> ReplyRoute | None:
        """The route of a call whose response waits; None: there is none."""
        held = self._of_call.get(key)
        return None if held is None else held.route

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

    # What is sent

    def respond(self, route: ReplyRoute, request_id: jsonrpc.RequestId | None, data: bytes) -> None:
        """Send the response of a request that was carried out, or an error in place of what is too large.

        Like `refuse` it raises nothing: that would hit whoever ends the call, and the calls that end next.
        """
        if len(data) > SMALL_BYTES and not self.has_room:
            self._hold_response(route, request_id, data)
            return
        try:
            self._link.send(route.subject, data)
        except TooLarge as error:
            self._respond_in_parts(route, request_id, data, str(error))
        except LongreachError:
            self._hold_response(route, request_id, data)
        else:
            self._book.ended(route.key, self._clock.monotonic())

    def end(self, route: ReplyRoute, data: bytes) -> None:
        """Send the small response of a call in the book that was not carried out, or whose result is lost."""
        self._send_or_hold(_Held(route, data, self._until_ms(route), ends=True))

    def fail(self, route: ReplyRoute, request_id: jsonrpc.RequestId | None, why: str) -> None:
        """End a call that ran and whose result cannot be sent with an error that says so."""
        event(_log, "result.too_large", logging.WARNING, call=route.call, why=why)
        text = f"it ran, but its result cannot be sent: {why}"
        reason = {"reason": codes.RESULT_TOO_LARGE}
        self.end(route, jsonrpc.encode_error(request_id, codes.INTERNAL_ERROR, text, reason))

    def offer(self, route: ReplyRoute, data: bytes, headers: Headers, *, whole: bool) -> None:
        """Send what takes the place of a response.

        Args:
            route: of the call.
            data: the offer.
            headers: that it has.
            whole: the result is in it, and the call ends with it.
        """
        held = _Held(route, data, self._until_ms(route), ends=whole, headers=headers)
        if len(data) > SMALL_BYTES and not self.has_room:
            self._hold(held)
        else:
            self._send_or_hold(held)

    def frame(self, route: ReplyRoute, data: bytes, headers: Headers | None) -> None:
        """Send a frame that may be lost: nothing is held, no error is raised."""
        try:
            self._link.send(route.subject, data, headers=headers)
        except LongreachError as error:
            event(_log, "frame.dropped", logging.DEBUG, reason=str(error))

    def later(self, send: Callable[[], None]) -> None:
        """Call `send`, which sends a part that was asked for, when there is room behind what is held."""
        if len(self._later) >= _MAX_LATER:
            event(_log, "part.unsent", logging.DEBUG, why="too many parts wait for the broker")
            return
        self._later.append(send)
        self._watch()

    def refuse(self, route: ReplyRoute, data: bytes) -> None:
        """Send the response of a request that is not in the book: small, but for the asker's own id.

        One that its id bloats is dropped, and one that finds no room: its asker asks "whose?", and is told.
        """
        try:
            self.send(route, data)
        except TooLarge:
            event(_log, "refusal.dropped", logging.WARNING, why="larger than the broker carries")

    def send(self, route: ReplyRoute, data: bytes) -> None:
        """Send an answer to a question, or hold it until the link takes it or its deadline.

        Raises:
            TooLarge: the broker does not carry so much; the caller of `send` answers with an error.
        """
        try:
            self._link.send(route.subject, data)
        except TooLarge:
            raise
        except LongreachError:
            held = _Held(route, data, self._until_ms(route), ends=False)
            queue = self._queue_of(held)
            most = SMALL_ROOM_BYTES if queue is self._small else self._max_held_bytes
            if queue.bytes + held.cost > most:
                event(_log, "answer.dropped", logging.WARNING, why="too much waits for the broker")
            else:
                self._hold(held)

    # What is held

    def drop(self, key: str) -> bool:
        """Nobody waits for that call's response any more; False: it does not wait here."""
        held = self._of_call.get(key)
        if held is None:
            return False
        self._remove(held)
        self._book.ended(key, self._clock.monotonic())
        return True

    def release(self) -> None:
        """Send what is held and still wanted, as far as the link takes it."""
        self._release.run()

    async def flushed(self, timeout_s: float) -> None:
        """Wait until nothing is held any more; at most `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return  # `close` says what is given up

    def close(self) -> None:
        """Send nothing more; what still waits is given up, and logged."""
        self._closed = True
        self._release.stop()
        calls = [held.route.call for held in self._of_call.values()]
        if calls:
            event(
                _log,
                "results.given_up",
                logging.WARNING,
                why="the node ended before the broker took them",
                count=len(calls),
                bytes=self.held_bytes,
                calls=calls[:_NAMED],
            )
        self._small, self._large = _Queue(), _Queue()
        self._of_call.clear()
        self._later.clear()
        self._empty.set()

    def _until_ms(self, route: ReplyRoute) -> int:
        return route.deadline_ms or self._clock.wall_ms() + _BARE_TIMEOUT_MS

    def _queue_of(self, held: _Held) -> _Queue:
        return self._small if len(held.data) <= SMALL_BYTES else self._large

    def _hold_response(self, route: ReplyRoute, request_id: jsonrpc.RequestId | None, data: bytes) -> None:
        """Hold a response as it is, or in parts where there is no room."""
        held = _Held(route, data, self._until_ms(route), ends=True, request_id=request_id)
        if len(data) <= SMALL_BYTES or self._large_fits(held):
            self._hold(held)
        else:
            waits = f"{self._large.bytes} bytes of results wait for the broker"
            why = f"{waits} already, and its asker takes no parts"
            self._respond_in_parts(route, request_id, data, why)

    def _large_fits(self, held: _Held) -> bool:
        if self._large.bytes + held.cost > self._max_held_bytes:
            self._prune()
        return self._large.bytes + held.cost <= self._max_held_bytes

    def _respond_in_parts(
        self, route: ReplyRoute, request_id: jsonrpc.RequestId | None, data: bytes, why: str
    ) -> None:
        if self.large is None or not self.large(route, request_id, data):
            self.fail(route, request_id, why)

    def _send_or_hold(self, held: _Held) -> None:
        try:
            self._link.send(held.route.subject, held.data, headers=held.headers)
        except TooLarge:
            self._too_large(held)
        except LongreachError:
            self._hold(held)
        else:
            self._sent(held)

    def _hold(self, held: _Held) -> None:
        if self._closed:
            event(_log, "result.dropped", logging.WARNING, why="the node has ended", call=held.route.call)
            return
        self._queue_of(held).put(held)
        if held.ends:
            self._of_call[held.route.key] = held
        self._empty.clear()
        self.is_full = self._small.bytes >= SMALL_ROOM_BYTES
        self._watch()

    def _watch(self) -> None:
        """Go on when the link has room: it tells once."""
        if not self._watching:
            self._watching = True
            self._link.when_room(self._room)

    def _room(self) -> None:
        self._watching = False
        if not self._closed:
            self.release()

    def _release_one(self) -> bool:
        """Send the next message; whether there is more to do now."""
        held = self._small.first() or self._large.first()
        if held is None:
            return self._send_part()
        if held.deadline_ms < self._clock.wall_ms():
            self._expire(held)
        elif len(held.data) > SMALL_BYTES and not self._link.has_room:
            self._watch()
            return False
        else:
            try:
                self._link.send(held.route.subject, held.data, headers=held.headers)
            except TooLarge:  # the new broker allows less than the old one did
                self._remove(held)
                self._too_large(held)
            except LongreachError:
                self._watch()
                return False
            else:
                self._remove(held)
                self._sent(held)
        return self.held > 0 or bool(self._later)

    def _send_part(self) -> bool:
        if not self._later:
            return False
        if not self._link.has_room:
            self._watch()
            return False
        self._later.popleft()()
        return bool(self._later)

    def _sent(self, held: _Held) -> None:
        if held.ends:
            self._book.ended(held.route.key, self._clock.monotonic())

    def _too_large(self, held: _Held) -> None:
        """What the broker does not carry goes in parts; of an offer, what came with it is left out."""
        head, newline, inline = held.data.partition(b"\n")
        if held.headers is not None and newline and inline and not held.ends:
            self._send_or_hold(
                _Held(held.route, head + newline, held.deadline_ms, ends=False, headers=held.headers)
            )
        elif held.headers is None and held.ends and len(held.data) > SMALL_BYTES:
            why = f"its {len(held.data)} bytes are more than the broker carries"
            self._respond_in_parts(held.route, held.request_id, held.data, why)
        else:
            why = "larger than the broker carries"
            if held.ends and len(held.data) > SMALL_BYTES:
                self.fail(held.route, held.request_id, why)
            else:
                event(_log, "result.dropped", logging.WARNING, why=why, call=held.route.call)
                self._sent(held)

    def _expire(self, held: _Held) -> None:
        """Nobody waits for that any more: its asker's deadline has passed."""
        self._remove(held)
        if held.ends:
            event(_log, "result.expired", logging.WARNING, call=held.route.call, bytes=len(held.data))
            self._sent(held)

    def _prune(self) -> None:
        """Make room by dropping what nobody waits for; looked for ten times a second at most."""
        now = self._clock.monotonic()
        if now < self._pruned_at + 0.1:
            return
        self._pruned_at = now
        now_ms = self._clock.wall_ms()
        for held in [held for held in self._large.messages if held.wanted and held.deadline_ms < now_ms]:
            self._expire(held)

    def _remove(self, held: _Held) -> None:
        self._queue_of(held).remove(held)
        if held.ends:
            self._of_call.pop(held.route.key, None)
        self.is_full = self._small.bytes >= SMALL_ROOM_BYTES
        if not self.held:
            self._empty.set()
