"""Who answers `who` may say anything; what is believed is what the owners of a server's name say.

`who` is answered in the asker's reply space, where any node may write about any other. So its answers only
tell which servers there are, and where. Each of these is asked what it says of itself, on `all.<server>`: the
broker lets nobody hear that but those who own the name, and nobody else can know the token of the answer.
Source: docs/binding.md M8.9.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from longreach.errors import LongreachError
from longreach.observe import event
from longreach.wire import frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.client.inbox import Answer
    from longreach.client.questions import Questions
    from longreach.wire.frames import Announcement

_log = logging.getLogger("longreach.client.vouching")
_NOBODY = msgspec.json.encode(frames.WhoseRequest([]))
_MAX_PLACES = 2000
"""So many servers and regions are asked at the most: whoever answers `who` may make them up."""
_MAX_SAID = 20_000

Place = tuple[str, str]
"""A region and a server."""


class Vouching:
    """One round of `who`: what was said, and what was vouched for.

    Args:
        questions: asks.
        believe: told what may be believed.
        deadline_ms: until when answers are waited for.
    """

    def __init__(
        self, questions: Questions, believe: Callable[[Announcement], None], deadline_ms: int
    ) -> None:
        self._questions = questions
        self._believe = believe
        self._deadline_ms = deadline_ms
        self._tokens: dict[Place, str] = {}
        self._open: set[Place] = set()
        self._said: dict[tuple[Place, str, str], Announcement] = {}
        self._silent: set[tuple[Place, str, str]] = set()
        """Nodes that vouch for themselves, but are too old to say for what."""

    @property
    def is_answered(self) -> bool:
        """Whether at least one node of each server that was asked has answered, or there is none."""
        return not self._open

    def hear(self, announcement: Announcement, on_answer: Callable[[], None]) -> None:
        """Somebody says so: ask those who should know.

        Args:
            announcement: what is said.
            on_answer: called whenever one of them has answered.
        """
        place = (announcement.region, announcement.server)
        node = (place, announcement.identity, announcement.instance)
        if node in self._silent:
            self._believe(announcement)
            return
        if len(self._said) < _MAX_SAID:
            self._said[node] = announcement
        if place not in self._tokens and len(self._tokens) < _MAX_PLACES:
            self._ask(place, on_answer)

    def close(self) -> None:
        """Answers are no longer waited for."""
        for token in self._tokens.values():
            self._questions.inbox.forget(token)

    def _ask(self, place: Place, on_answer: Callable[[], None]) -> None:
        self._open.add(place)
        token = self._tokens[place] = self._questions.inbox.new_token(self._deadline_ms)
        self._questions.inbox.gather(token, partial(self._answered, place, on_answer))
        try:
            self._questions.post(self._questions.all_subject(*place, "whose"), _NOBODY, token)
        except LongreachError as error:
            event(_log, "question.unsent", logging.DEBUG, server=place[1], reason=str(error))
            self._open.discard(place)

    def _answered(self, place: Place, on_answer: Callable[[], None], answer: Answer) -> None:
        self._open.discard(place)
        on_answer()
        if answer is None:
            return  # nobody owns it there
        try:
            if len(answer) > 2 * frames.MAX_ANNOUNCEMENT_BYTES:
                raise msgspec.DecodeError(f"{len(answer)} bytes are more than an announcement has")
            reply = frames.decode(answer, frames.WhoseReply)
        except msgspec.DecodeError as error:
            event(_log, "answer.malformed", logging.WARNING, reason=str(error))
            return
        node = (place, reply.identity, reply.instance)
        mine = reply.announcement
        if isinstance(mine, frames.Announcement):
            if ((mine.region, mine.server), mine.identity, mine.instance) == node and mine.state == "up":
                self._believe(mine)
        else:
            self._silent.add(node)
            said = self._said.pop(node, None)
            if said is not None:
                self._believe(said)
