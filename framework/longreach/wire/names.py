"""What servers and tools may be called.

Source: MCP 2026-07-28 server/tools (names); docs/binding.md 1 (server names hold no dot).
"""

from __future__ import annotations

import re

from longreach.errors import DeclarationError

_TOOL = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SERVER = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_tool_name(name: str) -> str:
    """`name`, if a tool may have it.

    Raises:
        DeclarationError: it may not.
    """
    if not _TOOL.fullmatch(name):
        raise DeclarationError(
            f"a tool cannot be called {name!r}: use 1 to 64 of letters, digits, '_', '-' and '.', or name=..."
        )
    return name


def check_server_name(name: str) -> str:
    """`name`, if a server may have it.

    Raises:
        DeclarationError: it may not.
    """
    if not _SERVER.fullmatch(name) or name == "_":
        raise DeclarationError(
            f"a server cannot be called {name!r}: use 1 to 64 of letters, digits, '_' and '-', without a dot"
        )
    return name
