"""What a node tells of its servers' changes: that a list, or a resource, is not what it was.

An event is published once; the broker fans it out, and forgets the subscribers that are gone. What happens
while the link is down is told when it is back: a change that nobody heard of would stay in caches.
Source: docs/binding.md 13.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from longreach.errors import LongreachError
from longreach.observe import event
from longreach.turns import Drain
from longreach.wire import jsonrpc
from longreach.wire.subjects import Evt, resource_hash
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from longreach.transport.link import Link

_log = logging.getLogger("longreach.node.events")
ListKind = Literal["tools", "prompts", "resources"]
MAX_UNTOLD = 1000
"""So many events wait for the link at the most; the oldest is dropped."""


class Events:
    """The events of one server on one node.

    Args:
        link: the connection.
        namespace: namespace token.
        region: region token.
        server: the server's name.
    """

    def __init__(self, link: Link, *, namespace: str, region: str, server: str) -> None:
        self._link = link
        self._place = (namespace, region, encode_token(server))
        self._untold: dict[str, bytes] = {}
        self._again = 0
        self._work = Drain(self._tell_one)

    def list_changed(self, kind: ListKind) -> None:
        """Tell that a list has changed."""
        method = f"notifications/{kind}/list_changed"
        self._tell(Evt(*self._place, kind).subject(), jsonrpc.encode_notification(method, {}))

    def resource_updated(self, uri: str) -> None:
        """Tell that a resource has changed.

        Raises:
            ValueError: `uri` has no UTF-8 form.
        """
        subject = Evt(*self._place, "updated", resource_hash(uri)).subject()
        data = jsonrpc.encode_notification("notifications/resources/updated", {"uri": uri})
        self._tell(subject, data)

    def release(self) -> None:
        """The link is back: tell what has not been told."""
        self._again = len(self._untold)
        self._work.run()

    def _tell_one(self) -> bool:
        """Tell one event that waited; whether there are more that did when the link came back."""
        if not (self._again and self._untold):
            return False
        self._again -= 1
        subject = next(iter(self._untold))
        self._tell(subject, self._untold.pop(subject))
        return self._again > 0

    def _tell(self, subject: str, data: bytes) -> None:
        try:
            self._link.send(subject, data)
        except LongreachError as error:
            self._untold[subject] = data
            while len(self._untold) > MAX_UNTOLD:
                del self._untold[next(iter(self._untold))]
            event(_log, "event.delayed", logging.DEBUG, subject=subject, reason=str(error))
