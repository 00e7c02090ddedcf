"""One subscription for all answers of a client, and the futures that wait for them.

Each question, a call's attempt or a control question, has a `<call>` token of its own, the last token of
its reply subject; the inbox resolves the future that waits for it. No task is spawned: a future is set
from within the link's read loop.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, TypeVar

from longreach.errors import BrokerUnavailable
from longreach.wire.frames import HEADER
from longreach.wire.subjects import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from longreach.transport.link import Headers, Link, Subscription

NO_RESPONDERS = "503"

_MARK_CHARS = 16
_RANDOM_BYTES = _MARK_CHARS // 2 * 256

W = TypeVar("W", bound="Waiter")
Answer = bytes | None
"""The bytes of a response; None: the broker said that nobody listens."""


class Waiter:
    """One outstanding question.

    `future` gets the response's bytes, None for "no responders", or a value that its owner sets.
    """

    __slots__ = ("future", "token")

    def __init__(self, token: str, future: asyncio.Future[Answer]) -> None:
        self.token = token
        self.future = future

    def frame(self, kind: str, body: bytes) -> None:
        """A frame came before the response; frames that are not expected are ignored."""

    def answer(self, answer: Answer) -> bool:
        """The answer came; True: nothing more is expected."""
        if not self.future.done():
            self.future.set_result(answer)
        return True

    def give_up(self) -> None:
        """No answer will come: the connection is being closed."""
        if not self.future.done():
            self.future.set_exception(BrokerUnavailable("the mesh was closed", delivered="unknown"))


class Gathering(Waiter):
    """A question to many: each answer goes to `on_answer`, none ends it but its owner."""

    __slots__ = ("_on_answer",)

    def __init__(self, token: str, on_answer: Callable[[Answer], None]) -> None:
        self.token = token
        self._on_answer = on_answer

    def answer(self, answer: Answer) -> bool:
        """One of several answers."""
        self._on_answer(answer)
        return False


class Inbox:
    """The reply space of one client.

    Args:
        link: the connection.
        namespace: namespace token.
        via: the `via` token of this client.
        caller: the `caller` token of this client.
        regions: the region tokens in which answers are heard; ``*`` for all.
        ending: what the connection's token ends with, which says what its asker understands.
    """

    def __init__(
        self, link: Link, namespace: str, via: str, caller: str, regions: Iterable[str], ending: str = ""
    ) -> None:
        self.connection = secrets.token_hex(16) + ending
        self._link = link
        self._base = f"{ROOT}.{namespace}."
        self._tail = f".rep.{via}.{caller}.{self.connection}."
        self._regions = tuple(regions)
        self._waiters: dict[str, Waiter] = {}
        self._subscriptions: list[Subscription] = []
        self._count = 0
        self._random = ""
        self._at = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def open(self) -> None:
        """Subscribe."""
        for region in self._regions:
            subject = f"{self._base}{region}{self._tail}*"
            self._subscriptions.append(self._link.subscribe(subject, self._take))

    def close(self) -> None:
        """Unsubscribe, and give up what still waits."""
        for subscription in self._subscriptions:
            self._link.unsubscribe(subscription)
        self._subscriptions.clear()
        for waiter in self._waiters.values():
            if not isinstance(waiter, Gathering):
                waiter.give_up()
        self._waiters.clear()

    def new_token(self, deadline_ms: int) -> str:
        """A `<call>` token that no other question of this client has.

        Nobody can guess it: who has answered one question cannot answer another that was asked elsewhere.
        """
        self._count += 1
        at = self._at
        if at == len(self._random):
            self._random, at = (
                secrets.token_hex(_RANDOM_BYTES),
                0,
            )  # many at once, which costs one as good as nothing
        self._at = at + _MARK_CHARS
        mark = self._random[at : at + _MARK_CHARS]
        return f"{self._count:x}z{mark}-{deadline_ms:x}-f"  # callid.build_call, without the calls

    def reply_base(self, region: str) -> str:
        """The reply subject of a question that is asked in `region` (a token), up to its `<call>` token."""
        return f"{self._base}{region}{self._tail}"

    def reply_subject(self, region: str, token: str) -> str:
        """Where the answer to the question `token`, asked in `region` (a token), goes."""
        return self.reply_base(region) + token

    def expect(self, token: str) -> Waiter:
        """Wait for the one response to `token`."""
        return self.add(Waiter(token, asyncio.get_running_loop().create_future()))

    def add(self, waiter: W) -> W:
        """Pass what comes for `waiter.token` to `waiter`."""
        self._waiters[waiter.token] = waiter
        return waiter

    def gather(self, token: str, on_answer: Callable[[Answer], None]) -> None:
        """Pass every answer to `token` to `on_answer`, until `forget`."""
        self._waiters[token] = Gathering(token, on_answer)

    def forget(self, token: str) -> None:
        """Answers to `token` are no longer wanted."""
        self._waiters.pop(token, None)

    def _take(self, subject: str, _: str, data: bytes, headers: Headers | None) -> None:
        token = subject[subject.rfind(".") + 1 :]
        waiter = self._waiters.get(token)
        if waiter is None:
            return
        answer: Answer = data
        if headers is not None:
            kind = headers.get(HEADER)
            if kind is not None:
                waiter.frame(kind, data)
                return
            if headers.get("Status") == NO_RESPONDERS:
                answer = None
        if waiter.answer(answer):
            self._waiters.pop(token, None)
