"""Names of servers that were named elsewhere."""

from __future__ import annotations

import re

_LONGEST = 64


def server_name(text: str) -> str:
    """`text` as a server of the mesh may be called: what it may not hold becomes ``-``.

    ``"My Docs (beta)"`` is ``My-Docs-beta``; of a text that holds nothing usable, ``server`` is made.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:_LONGEST].strip("-")
    return "server" if name in ("", "_") else name
