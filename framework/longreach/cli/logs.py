"""Where a node's events go: standard error, as lines of text or of JSON."""

from __future__ import annotations

import logging

from longreach.observe import JsonFormatter, TextFormatter


def log_to_stderr(style: str, level: str) -> None:
    """Write events, and what user code logs, to standard error.

    Args:
        style: ``"text"`` or ``"json"``.
        level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
