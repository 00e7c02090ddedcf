"""One subscription for all answers of a client, and the futures that wait for them.

Each question, a call's attempt or a control question, has a `<call>` token of its own, the last token of
its reply subject; the inbox resolves the future that waits for it. No task is spawned: a future is set
from within the link's read loop.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING

from longreach.observe import event
from longreach.wire.callid import build_call
from longreach.wire.frames import HEADER
from longreach.wire.subjects import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from longreach.transport.link import Headers, Link, Subscription

_log = logging.getLogger("longreach.client.inbox")

NO_RESPONDERS = "503"

Answer = bytes | None
"""The bytes of a response; None: the broker said that nobody listens."""


class Waiter:
    """One outstanding question.

    `future` gets the response's bytes, None for "no responders", or a value that its owner sets.
    """

    __slots__ = ("future", "on_frame", "token")

    def __init__(
        self,
        token: str,
        future: asyncio.Future[Answer],
        on_frame: Callable[[str, bytes], None] | None,
    ) -> None:
        self.token = token
        self.future = future
        self.on_frame = on_frame


class Gathering:
    """A question to many: each answer goes to `on_answer`, none ends it but its owner."""

    __slots__ = ("on_answer", "token")

    def __init__(self, token: str, on_answer: Callable[[Answer], None]) -> None:
        self.token = token
        self.on_answer = on_answer


class Inbox:
    """The reply space of one client.

    Args:
        link: the connection.
        namespace: namespace token.
        via: the `via` token of this client.
        caller: the `caller` token of this client.
        regions: the region tokens in which answers are heard; ``*`` for all.
    """

    def __init__(self, link: Link, namespace: str, via: str, caller: str, regions: Iterable[str]) -> None:
        self.connection = secrets.token_hex(16)
        self._link = link
        self._base = f"{ROOT}.{namespace}."
        self._tail = f".rep.{via}.{caller}.{self.connection}."
        self._regions = tuple(regions)
        self._waiters: dict[str, Waiter | Gathering] = {}
        self._subscriptions: list[Subscription] = []
        self._count = 0
        self._secret = secrets.token_hex(4)

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
            if isinstance(waiter, Waiter):
                waiter.future.cancel()
        self._waiters.clear()

    def new_token(self, deadline_ms: int) -> str:
        """A `<call>` token that no other question of this client has."""
        self._count += 1
        return build_call(f"{self._count:x}z{self._secret}", deadline_ms, frames=True)

    def reply_subject(self, region: str, token: str) -> str:
        """Where the answer to the question `token`, asked in `region` (a token), goes."""
        return f"{self._base}{region}{self._tail}{token}"

    def expect(self, token: str, on_frame: Callable[[str, bytes], None] | None = None) -> Waiter:
        """Wait for the one response to `token`; `on_frame(kind, body)` gets what comes before it."""
        waiter = Waiter(token, asyncio.get_running_loop().create_future(), on_frame)
        self._waiters[token] = waiter
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
        if headers is not None:
            kind = headers.get(HEADER)
            if kind is not None:
                if isinstance(waiter, Waiter) and waiter.on_frame is not None:
                    waiter.on_frame(kind, data)
                return
            answer = None if headers.get("Status") == NO_RESPONDERS else data
        else:
            answer = data
        if isinstance(waiter, Gathering):
            waiter.on_answer(answer)
            return
        del self._waiters[token]
        if not waiter.future.done():
            waiter.future.set_result(answer)
        else:
            event(_log, "answer.late", logging.DEBUG, call=token)
