"""What a server of the mesh offers on behalf of another one, kept equal to what that one lists."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from longreach.errors import LongreachError
from longreach.observe import event
from longreach_bridge.kinds import LISTINGS, Kind

if TYPE_CHECKING:
    from longreach.actor.raw import RawHandler
    from longreach.actor.server import Server

_log = logging.getLogger("longreach.bridge")

Definition: TypeAlias = Mapping[str, Any]
"""A definition as its server lists it, unknown members included."""

_KEYS = {listing.kind: listing.key for listing in LISTINGS}


class Limits(NamedTuple):
    """How many calls of one tool, prompt or resource run at once, and how many more wait."""

    concurrency: int | None = None
    mailbox: int | None = None


class Shelf:
    """Offers what another server lists.

    Args:
        server: of the mesh, on which it is offered.
        handler: answers the requests for all of it.
        limits: of each thing that is offered.
    """

    def __init__(self, server: Server, handler: RawHandler, limits: Limits = Limits()) -> None:  # noqa: B008 - a value
        self._server = server
        self._handler = handler
        self._limits = limits
        self._there: dict[tuple[Kind, str], Definition] = {}
        self._refused: dict[tuple[Kind, str], Definition] = {}

    def __len__(self) -> int:
        return len(self._there)

    def of_kind(self, kind: Kind) -> dict[str, Definition]:
        """What is offered of one kind, by name."""
        return {name: definition for (each, name), definition in self._there.items() if each == kind}

    def put(self, kind: Kind, definitions: list[Definition]) -> bool:
        """Offer `definitions`, and nothing else of this kind; whether that changed anything.

        A definition that is none is left out; the log says so.
        """
        wanted = {(kind, str(definition.get(_KEYS[kind], ""))): definition for definition in definitions}
        before = {key: known for key, known in self._there.items() if key[0] == kind}
        for key in before.keys() - wanted.keys():
            self._take(key)
        for key, definition in wanted.items():
            if before.get(key) != definition and self._refused.get(key) != definition:
                if key in before:
                    self._take(key)
                self._add(key, definition)
        self._refused = {
            key: known for key, known in self._refused.items() if key[0] != kind or key in wanted
        }
        return {key: known for key, known in self._there.items() if key[0] == kind} != before

    def _add(self, key: tuple[Kind, str], definition: Definition) -> None:
        kind, name = key
        try:
            self._server.add_raw(
                kind,
                definition,
                self._handler,
                concurrency=self._limits.concurrency,
                mailbox=self._limits.mailbox,
            )
        except LongreachError as error:
            event(_log, "definition.refused", logging.WARNING, kind=kind, name=name, reason=str(error))
            self._refused[key] = definition
        else:
            self._refused.pop(key, None)
            self._there[key] = definition

    def _take(self, key: tuple[Kind, str]) -> None:
        self._server.remove_raw(*key)
        del self._there[key]
