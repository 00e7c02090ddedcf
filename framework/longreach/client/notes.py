"""Notifications that come before a response, handed to the user's functions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from longreach.observe import event
from longreach.wire import jsonrpc

OnNote = Callable[[bytes], None]
"""Takes the bytes of a notification that comes before the response, within the event loop."""
OnProgress = Callable[[float, float | None, str | None], None]
"""Called with progress, total and message, from within the event loop; it must not wait."""
OnLog = Callable[[str, Any, str | None], None]
"""Called with level, data and the logger's name, from within the event loop; it must not wait."""

_log = logging.getLogger("longreach.client.notes")


class _Progress(msgspec.Struct):
    progress: float
    total: float | None = None
    message: str | None = None


class _Message(msgspec.Struct):
    level: str
    data: Any
    logger: str | None = None


def take_notes(on_progress: OnProgress | None, on_log: OnLog | None) -> OnNote | None:
    """What takes notifications for these functions; None where there is none."""
    if on_progress is None and on_log is None:
        return None

    def take(note: bytes) -> None:
        try:
            said = jsonrpc.decode_notification(note)
            if said.method == "notifications/progress" and on_progress is not None:
                progress = msgspec.json.decode(said.params, type=_Progress)
                tell = partial(on_progress, progress.progress, progress.total, progress.message)
            elif said.method == "notifications/message" and on_log is not None:
                message = msgspec.json.decode(said.params, type=_Message)
                tell = partial(on_log, message.level, message.data, message.logger)
            else:
                return
        except (jsonrpc.Malformed, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            event(_log, "frame.malformed", logging.WARNING, reason=str(error))
            return
        try:
            tell()
        except Exception:  # noqa: BLE001 - the user's function, called from within the read loop
            _log.exception("note.failed")

    return take


def guarded(on_note: OnNote) -> OnNote:
    """`on_note`, whose errors are its own: it is called from within the read loop."""

    def take(note: bytes) -> None:
        try:
            on_note(note)
        except Exception:  # noqa: BLE001 - the user's function
            _log.exception("note.failed")

    return take
