"""The flags with which others reach a node that was started with these settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from longreach.cli.settings import Setting, settings_of
from longreach.transport.options import redact

_SECRET = frozenset({"token", "password", "nkey_seed"})


def reach_flags(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Shell words, quoted; a secret is named by its environment variable, never shown.

    Args:
        found: what `settings.resolve` found for the node.
    """
    words = []
    namespace = found.get("node", {}).get("namespace", "default")
    if namespace != "default":
        words += ["--namespace", shlex.quote(namespace)]
    connection = found.get("connection", {})
    if not connection.get("urls"):
        return words
    for setting in settings_of("client"):
        part, _, field = setting.target.partition(".")
        if part == "connection" and field in connection and setting.flags:
            words += _flag(setting, field, connection[field])
    return words


def _flag(setting: Setting, field: str, value: Any) -> list[str]:
    flag = setting.flags[0]
    if field in _SECRET:
        return [flag, f'"${setting.variable}"']
    if isinstance(value, bool):
        return [flag] if value else []
    if field == "urls":
        return [flag, shlex.quote(",".join(redact(url) for url in value))]
    return [flag, shlex.quote(f"{value:g}" if isinstance(value, float) else str(value))]
