"""Who wants to know what becomes of a link, and what its messages say."""

from __future__ import annotations

import logging
from collections.abc import Callable

from longreach.listeners import Listeners, guard
from longreach.transport.link import Denied, Headers, LinkState, Sink

_log = logging.getLogger("longreach.transport")


class LinkListeners:
    """The listeners of one link."""

    def __init__(self) -> None:
        self._change: Listeners[[LinkState]] = Listeners("link")
        self._denied: Listeners[[Denied]] = Listeners("denied")
        self.changed = self._change.tell
        self.denied = self._denied.tell

    def on_change(self, listener: Callable[[LinkState], None]) -> Callable[[], None]:
        """Add a listener for changes; returns what ends that."""
        return self._change.add(listener)

    def on_denied(self, listener: Callable[[Denied], None]) -> Callable[[], None]:
        """Add a listener for refused subjects; returns what ends that."""
        return self._denied.add(listener)

    @staticmethod
    def room(callback: Callable[[], None]) -> None:
        """Tell one of them that there is room."""
        guard("room", callback)


def call_sink(sink: Sink, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
    """Hand a message over; one message's failure must not end the link."""
    try:
        sink(subject, reply, data, headers)
    except Exception as error:  # noqa: BLE001 - the sink is code of other floors
        log_failure("sink.failed", error, subject=subject)


def log_failure(name: str, error: Exception, **fields: str) -> None:
    """Log the event `name` with its traceback."""
    _log.error(name, extra={"event_fields": fields}, exc_info=error)
