"""Bodies of one asker that no message holds: results are pulled from their node, requests put to one.

Nothing of this is met by a call whose messages are small. Source: docs/binding.md 16.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from longreach.client import endings
from longreach.errors import LongreachError, TooLarge
from longreach.observe import event
from longreach.policy.liveness import NodeId
from longreach.policy.parts import BODIES_OF_ONE, KEEP_RESULT_S, Window
from longreach.policy.retry import Failure
from longreach.policy.room import Room
from longreach.threads import BODIES, in_thread
from longreach.wire import codes, jsonrpc
from longreach.wire.frames import HEADER
from longreach.wire.packing import Damaged, Packed, pack_body, unpack_body
from longreach.wire.parts import (
    HEAD_BYTES,
    INLINE_BYTES,
    MAX_PART_BYTES,
    PART,
    PARTS,
    PUT,
    Offer,
    PartRequest,
    Pull,
    Put,
    pack,
    unpack,
)

if TYPE_CHECKING:
    from longreach.client.attempt import Attempt
    from longreach.client.inbox import Answer
    from longreach.client.questions import Questions
    from longreach.clock import Clock
    from longreach.policy.liveness import Liveness
    from longreach.tasks import TaskSet
    from longreach.transport.link import Headers

_log = logging.getLogger("longreach.client.bodies")
_OFFER = {HEADER: PARTS}
_NOT_UNDERSTOOD = (codes.PARSE_ERROR, codes.INVALID_REQUEST, codes.INVALID_PARAMS)
REQUEST_TOO_LARGE = "request_too_large"

R = TypeVar("R")
Read = Callable[[bytes, str], R | Failure]


class BodyOptions(msgspec.Struct, frozen=True):
    """What a connection does with bodies that no message holds.

    Args:
        max_bytes: a larger one is refused.
        compress: large requests are compressed, and large results wanted so.
    """

    max_bytes: int
    compress: bool = False


class Upload:
    """A request that is put to a node."""

    def __init__(self, packed: Packed, inline: int, refused: TooLarge) -> None:
        self.packed = packed
        self.refused = refused
        self.sent = inline
        self.pulled = False

    @property
    def is_whole(self) -> bool:
        """Whether all of it was sent, so that it may have begun."""
        return self.sent >= len(self.packed.data)


class _Download:
    """A result that is pulled from its node."""

    def __init__(self, attempt: Attempt, node: NodeId, offer: Offer, inline: bytes, window: Window) -> None:
        self.attempt = attempt
        self.node = node
        self.offer = offer
        self.room = max(offer.size, offer.whole)
        self.data = bytearray(inline)
        self.window = window
        self.moved = asyncio.Event()
        self.is_gone = False
        self.tokens: set[str] = set()


class Bodies:
    """Large requests and results of one asker.

    Args:
        questions: asks nodes for parts, and puts parts to them.
        liveness: is told that a node lives.
        clock: the time.
        tasks: own what goes on for each result.
        options: what is allowed.
    """

    def __init__(
        self, questions: Questions, liveness: Liveness, clock: Clock, tasks: TaskSet, options: BodyOptions
    ) -> None:
        self._questions = questions
        self._liveness = liveness
        self._clock = clock
        self._tasks = tasks
        self._options = options
        self._uploads: dict[str, Upload] = {}
        self._downloads: dict[str, _Download] = {}
        self._waiting: deque[_Download] = deque()
        self._room = Room(BODIES_OF_ONE * options.max_bytes, BODIES_OF_ONE * options.max_bytes)
        self._keeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._uploads) + len(self._downloads) + len(self._waiting)

    # Requests

    async def offer(
        self, attempt: Attempt, body: bytes, reply: str, refused: TooLarge, headers: Headers | None
    ) -> None:
        """Send the offer of a request in its place; its parts follow as a node asks for them.

        Args:
            attempt: whose request it is.
            body: the request.
            reply: the attempt's reply subject.
            refused: why it could not be sent in one message.
            headers: that the request has.

        Raises:
            TooLarge: it is too large even for parts, or it is not the body that is too large.
            BrokerUnavailable: and the other refusals of `Link.send`.
            TimeoutError: the attempt's deadline passed before the body was packed; nothing was sent.
        """
        if "size" not in (refused.data or {}):
            raise refused
        if len(body) > self._options.max_bytes:
            raise TooLarge(
                f"a request of {len(body)} bytes is over this connection's limit of "
                f"{self._options.max_bytes} bytes: send less, or allow more with max_body_bytes",
                data={"size": len(body), "limit": self._options.max_bytes},
            )
        async with asyncio.timeout(attempt.deadline - self._clock.monotonic()):
            packed = await in_thread(BODIES, pack_body, body, self._options.compress)
        inline = packed.data[: min(INLINE_BYTES, self._most())]
        self._questions.link.send(
            attempt.subject, pack(packed.offer, inline), reply, {**(headers or {}), **_OFFER}
        )
        self._uploads[attempt.token] = Upload(packed, len(inline), refused)
        attempt.future.add_done_callback(lambda _: self._uploads.pop(attempt.token, None))

    def upload(self, token: str) -> Upload | None:
        """The request that is on its way under `token`, if one is."""
        return self._uploads.get(token)

    def put(self, attempt: Attempt, body: bytes) -> None:
        """A node asks for a range of a request.

        Raises:
            msgspec.DecodeError: it doesn't.
        """
        upload = self._uploads.get(attempt.token)
        pull, _ = unpack(body, Pull)
        if upload is None or attempt.future.done():
            return
        upload.pulled = True
        data = upload.packed.data
        part = data[pull.at : pull.at + min(pull.bytes, MAX_PART_BYTES, self._most())]
        if not part:
            return
        subject = self._questions.node_subject(attempt.region, pull.identity, pull.instance, PUT)
        try:
            self._questions.post(
                subject, pack(Put(attempt.token, pull.at), part), self._questions.inbox.new_token(0)
            )
        except LongreachError as error:  # it is asked for again
            event(_log, "part.unsent", logging.DEBUG, call=attempt.token, reason=str(error))
            return
        upload.sent = max(upload.sent, pull.at + len(part))

    def refusing(self, token: str, read: Read[R]) -> Read[R]:
        """As `read`, for the answer to an offer: raises `TooLarge` where it says that parts are not taken."""
        upload = self._uploads[token]

        def judge(answer: bytes, region: str) -> R | Failure:
            if not upload.pulled and not upload.is_whole:
                _check_understood(answer, upload.refused)
            return read(answer, region)

        return judge

    # Results

    def fetch(self, attempt: Attempt, body: bytes) -> None:
        """A node offers a result: it is pulled when there is room for it.

        Raises:
            msgspec.DecodeError: it doesn't.
        """
        offer, inline = unpack(body, Offer)
        if attempt.token in self._downloads or attempt.node is None or attempt.future.done():
            return
        size = max(offer.size, offer.whole)
        if size > self._options.max_bytes:
            attempt.end(Failure("yes", endings.RESULT_TOO_LARGE, attempt.region))
            return
        now = self._clock.monotonic()
        inline = inline[: offer.size]
        most = min(MAX_PART_BYTES, self._most())
        download = _Download(attempt, attempt.node, offer, inline, Window(offer.size, len(inline), now, most))
        self._downloads[attempt.token] = download
        attempt.future.add_done_callback(lambda _: self._ended(download))
        self._waiting.append(download)
        self._next()

    def _next(self) -> None:
        """Begin with those that there is room for, in order."""
        now = self._clock.monotonic()
        while self._waiting:
            download = self._waiting[0]
            if self._room.take(download.attempt.token, "", download.room, now) is None:
                break
            self._waiting.popleft()
            task = self._tasks.spawn(self._fetch(download), name="large result")
            download.attempt.future.add_done_callback(lambda _, task=task: task.cancel())  # type: ignore[misc]
            task.add_done_callback(lambda _, token=download.attempt.token: self._give(token))  # type: ignore[misc]
        if self._waiting and self._keeping is None:
            self._keeping = asyncio.get_running_loop().call_later(KEEP_RESULT_S, self._keep)
        elif not self._waiting and self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None

    def _keep(self) -> None:
        """Ask for a byte of each result that waits for room here, so that its node does not give it up."""
        self._keeping = None
        for download in self._waiting:
            self._post_part(download, self._questions.inbox.new_token(0), len(download.data), 1)
        self._next()

    def _give(self, token: str) -> None:
        self._room.give(token)
        self._next()

    def _ended(self, download: _Download) -> None:
        self._downloads.pop(download.attempt.token, None)
        for token in download.tokens:
            self._questions.inbox.forget(token)
        if download in self._waiting:
            self._waiting.remove(download)
            self._next()

    async def _fetch(self, download: _Download) -> None:
        """Pull a result and answer its call with it; the call's own end cancels this."""
        attempt, window = download.attempt, download.window
        while not window.is_whole:
            if download.is_gone:
                attempt.end(Failure("unknown", "gone", attempt.region))
                return
            now = self._clock.monotonic()
            for each in window.ask(now):
                self._ask(download, each.at, each.size)
            download.moved.clear()
            try:
                async with asyncio.timeout(max(0.01, window.due - now)):
                    await download.moved.wait()
            except TimeoutError:
                continue
        data, download.data = download.data, bytearray()
        try:
            body = await in_thread(BODIES, unpack_body, download.offer, data)
        except Damaged as error:
            event(_log, "result.damaged", logging.WARNING, call=attempt.token, reason=str(error))
            attempt.end(Failure("unknown", endings.DAMAGED, attempt.region))
            return
        self._ask(download, download.offer.size, 0)
        attempt.answer(body)

    def _ask(self, download: _Download, at: int, size: int) -> None:
        inbox = self._questions.inbox
        token = inbox.new_token(0)
        if size:
            download.tokens.add(token)
            inbox.gather(token, lambda answer: self._came(download, token, at, answer))
        self._post_part(download, token, at, size)

    def _post_part(self, download: _Download, token: str, at: int, size: int) -> None:
        node = download.node
        subject = self._questions.node_subject(node.region, node.identity, node.instance, PART)
        try:
            self._questions.post(subject, pack(PartRequest(download.attempt.token, at, size)), token)
        except LongreachError as error:  # it is asked for again
            event(_log, "part.unsent", logging.DEBUG, call=download.attempt.token, reason=str(error))

    def _came(self, download: _Download, token: str, at: int, answer: Answer) -> None:
        download.tokens.discard(token)
        self._questions.inbox.forget(token)
        if answer is None:  # nobody is there: whether it died, liveness finds out
            return
        now = self._clock.monotonic()
        self._liveness.heard(download.node, now)
        if not answer:
            download.is_gone = True
        elif download.window.came(at, len(answer), now):
            download.data += answer
        download.moved.set()

    def _most(self) -> int:
        return max(1, self._questions.link.max_payload - HEAD_BYTES)


def _check_understood(answer: bytes, refused: TooLarge) -> None:
    """Whether an offer was understood, by its answer.

    Raises:
        TooLarge: it was not.
    """
    try:
        error = jsonrpc.decode_response(answer).error
    except jsonrpc.Malformed:
        return
    if isinstance(error, jsonrpc.RpcError) and error.code in _NOT_UNDERSTOOD:
        said = error.data.get("reason") if isinstance(error.data, dict) else None
        if said == REQUEST_TOO_LARGE:
            raise TooLarge(f"the node refused the request: {error.message}", data=refused.data)
        raise TooLarge(f"{refused} (the node takes no requests in parts)", data=refused.data)
