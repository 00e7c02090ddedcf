"""The audit log: one structured event for each call, who made it and how it ended, in a file of its own.

Events go through the logger ``longreach.audit`` and are written by a thread, so that nobody who is served
waits for a disk. The queue between them is bounded: where more comes than can be written, the newest events
are dropped and counted, and ``audit.dropped`` says how many as soon as there is room again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from logging.handlers import WatchedFileHandler
from typing import Any, Final

from longreach.errors import ConfigError
from longreach.observe import JsonFormatter, event

LOGGER: Final = "longreach.audit"
STANDARD_OUTPUT: Final = "-"
MAX_WAITING: Final = 10_000
"""So many events wait to be written."""
MAX_TEXT: Final = 1_000
"""Names and URIs are cut off after so many characters."""
MAX_ARGUMENTS: Final = 4_096
"""Arguments, where they are asked for, after so many bytes."""
_CLOSE_S = 2.0
_COMPLAIN_EVERY_S = 60.0

_log = logging.getLogger("longreach.audit.writer")
_audit = logging.getLogger(LOGGER)


class AuditLog:
    """Writes events.

    Args:
        target: a file, which is appended to and opened anew when it was moved away; ``-``: standard output.
        most: how many events may wait.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, target: str, *, most: int = MAX_WAITING) -> None:
        self.dropped = 0
        """How many events were dropped so far, because too many waited."""
        self._most = most
        self._handler = _open(target)
        self._waiting: deque[tuple[float, str, Mapping[str, Any]]] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._told = 0
        self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)
        self._thread.start()

    def put(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write an event, some time soon; never waits."""
        if len(self._waiting) >= self._most:
            self.dropped += 1
            return
        self._waiting.append((time.time(), name, fields))
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Write what waits, for `timeout_s` at most, and end; once more does nothing."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._handler.close()

    def _write_all(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._write(*self._waiting.popleft())
            dropped = self.dropped - self._told
            if dropped:
                self._told += dropped
                self._write(time.time(), "audit.dropped", {"count": dropped})
            if self._closing and not self._waiting:
                return

    def _write(self, when: float, name: str, fields: Mapping[str, Any]) -> None:
        record = _audit.makeRecord(
            LOGGER, logging.INFO, "", 0, name, (), None, extra={"event_fields": fields}
        )
        record.created = when
        for handler in (self._handler, *_audit.handlers):
            with contextlib.suppress(Exception):  # a handler of somebody else must not end the log
                handler.handle(record)


class _File(WatchedFileHandler):
    """A file that may be moved away; what cannot be written is told to the process's own log, seldom."""

    _complained_at = float("-inf")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging calls it so
        """The event could not be written."""
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = now
            event(
                _log, "audit.unwritable", logging.ERROR, file=self.baseFilename, reason=str(sys.exc_info()[1])
            )


def check_target(target: str) -> None:
    """Check that an audit log can be written there, before anything is waited for.

    Raises:
        ConfigError: it cannot.
    """
    _open(target).close()


def _open(target: str) -> logging.Handler:
    handler: logging.Handler
    if target == STANDARD_OUTPUT:
        handler = logging.StreamHandler(sys.stdout)
    else:
        try:  # it says who did what: for its owner only
            os.close(os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            handler = _File(target, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ConfigError(f"the audit log {target} cannot be written: {error.strerror}") from None
    handler.setFormatter(JsonFormatter())
    return handler


def trace_id(traceparent: object) -> str | None:
    """The trace's id in a `traceparent` of W3C Trace Context; None where there is none."""
    if not isinstance(traceparent, str):
        return None
    parts = traceparent[:100].split("-")
    return parts[1] if len(parts) >= 4 and parts[1].isalnum() else None
