"""Structured log events: a name in dots, then fields.

An event is a `logging` record whose message is its name and whose `event_fields` are its fields, so that
any handler can carry it; `JsonFormatter` and `TextFormatter` are the two that the CLI uses. Field values
never hold credentials, arguments or results.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

_PLAIN = (str, int, float, bool, type(None))


def event(logger: logging.Logger, name: str, /, level: int = logging.INFO, **fields: Any) -> None:
    """Log the event `name`, in past tense and dots (``actor.crashed``), with its fields."""
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={"event_fields": fields}, stacklevel=2)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "event_fields", {})
    return {key: value if isinstance(value, _PLAIN) else str(value) for key, value in fields.items()}


def safe_text(error: BaseException) -> str:
    """Return the text of an exception of user code, whose ``__str__`` may raise too."""
    try:
        return str(error)
    except BaseException as problem:  # noqa: BLE001 - it is asked where a call must end all the same
        return f"<no text: {type(problem).__name__}>"


def described(error: BaseException) -> str:
    """Return an exception's type and text."""
    return f"{type(error).__name__}: {safe_text(error)}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts (RFC 3339), level, logger, event, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        stamp = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        body: dict[str, Any] = {
            "ts": stamp,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        body.update(_fields(record))
        if record.exc_info:
            body["exception"] = self.formatException(record.exc_info)
        return json.dumps(body, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """One readable line: time, level, event, key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of text; a traceback follows on lines of its own."""
        stamp = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        pairs = "".join(f" {key}={value}" for key, value in _fields(record).items())
        line = f"{stamp} {record.levelname.lower():<7} {record.getMessage()}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
