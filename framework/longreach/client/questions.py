"""Control questions of a client: to one node, or to many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from longreach.errors import CallTimeout, NotFound
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from longreach.client.inbox import Answer, Inbox
    from longreach.clock import Clock
    from longreach.transport.link import Link

EVERYWHERE = "_"
"""The region token that asks the nodes of all regions."""


class Questions:
    """Builds the subjects of control questions and asks them.

    Args:
        link: the connection.
        inbox: where answers arrive.
        clock: the time.
        namespace: namespace token.
        via: the `via` token of this client.
        caller: the `caller` token of this client.
    """

    def __init__(
        self, link: Link, inbox: Inbox, clock: Clock, *, namespace: str, via: str, caller: str
    ) -> None:
        self.link = link
        self.inbox = inbox
        self._clock = clock
        self._base = f"{ROOT}.{namespace}."
        self._asker = f"{via}.{caller}"

    def node_subject(self, region: str, identity: str, instance: str, verb: str, space: str = "node") -> str:
        """The subject of `verb` for one node (names, not tokens)."""
        node = f"{encode_token(identity)}.{encode_token(instance)}"
        return f"{self._base}{encode_token(region)}.{space}.{node}.{self._asker}.{verb}"

    def all_subject(self, region: str, server: str, verb: str) -> str:
        """The subject of `verb` for every instance of a server in a region (names, not tokens)."""
        return f"{self._base}{encode_token(region)}.all.{encode_token(server)}.{self._asker}.{verb}"

    def who_subject(self, region: str | None) -> str:
        """The subject of `who` for a region, or for all."""
        token = EVERYWHERE if region is None else encode_token(region)
        return f"{self._base}{token}.who.{self._asker}"

    def post(self, subject: str, body: bytes, token: str) -> None:
        """Ask; answers to `token` are heard by whoever expects or gathers it.

        Raises:
            BrokerUnavailable: and the other refusals of `Link.send`.
        """
        region = subject[len(self._base) :].split(".", 1)[0]
        self.link.send(subject, body, self.inbox.reply_subject(region, token))

    async def ask(self, subject: str, body: bytes, timeout_s: float) -> bytes:
        """Ask one node and wait for its answer.

        Raises:
            NotFound: nobody listens there.
            CallTimeout: no answer within `timeout_s`.
        """
        token = self.inbox.new_token(self._clock.wall_ms() + int(timeout_s * 1000))
        waiter = self.inbox.expect(token)
        try:
            self.post(subject, body, token)
            async with asyncio.timeout(timeout_s):
                answer = await waiter.future
        except TimeoutError:
            raise CallTimeout(
                f"no answer from the node within {timeout_s:g} s", delivered="unknown"
            ) from None
        finally:
            self.inbox.forget(token)
        if answer is None:
            raise NotFound("that node is gone; `longreach ls` shows those that are up")
        return answer

    async def gather(
        self, subjects: Iterable[str], body: bytes, on_answer: Callable[[Answer], None], *, for_s: float
    ) -> None:
        """Ask many, and pass on what they answer within `for_s`."""
        token = self.inbox.new_token(self._clock.wall_ms() + int(for_s * 1000))
        self.inbox.gather(token, on_answer)
        try:
            for subject in subjects:
                self.post(subject, body, token)
            await asyncio.sleep(for_s)
        finally:
            self.inbox.forget(token)
