"""Who wants to know what becomes of a link, and what its messages say."""

from __future__ import annotations

import logging
from collections.abc import Callable

from longreach.transport.link import Denied, Headers, LinkState, Sink

_log = logging.getLogger("longreach.transport")


class Listeners:
    """The listeners of one link. What one of them raises is logged and keeps nothing from the others."""

    def __init__(self) -> None:
        self._change: list[Callable[[LinkState], None]] = []
        self._denied: list[Callable[[Denied], None]] = []

    def on_change(self, listener: Callable[[LinkState], None]) -> None:
        """Add a listener for changes."""
        self._change.append(listener)

    def on_denied(self, listener: Callable[[Denied], None]) -> None:
        """Add a listener for refused subjects."""
        self._denied.append(listener)

    def changed(self, state: LinkState) -> None:
        """Tell of a change."""
        for listener in tuple(self._change):
            try:
                listener(state)
            except Exception as error:  # noqa: BLE001 - a listener's failure is its own, the link goes on
                log_failure("listener.failed", error, told=state.status)

    def denied(self, denied: Denied) -> None:
        """Tell of a refused subject."""
        for listener in tuple(self._denied):
            try:
                listener(denied)
            except Exception as error:  # noqa: BLE001 - as above
                log_failure("listener.failed", error, told="denied")

    @staticmethod
    def room(callback: Callable[[], None]) -> None:
        """Tell one of them that there is room."""
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - as above
            log_failure("listener.failed", error, told="room")


def call_sink(sink: Sink, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
    """Hand a message over; one message's failure must not end the link."""
    try:
        sink(subject, reply, data, headers)
    except Exception as error:  # noqa: BLE001 - the sink is code of other floors
        log_failure("sink.failed", error, subject=subject)


def log_failure(name: str, error: Exception, **fields: str) -> None:
    """Log the event `name` with its traceback."""
    _log.error(name, extra={"event_fields": fields}, exc_info=error)
