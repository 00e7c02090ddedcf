"""What a tool says of itself."""

from __future__ import annotations

from typing import NamedTuple

UNTRUSTED_KEY = "longreach/hints"
UNTRUSTED = "untrusted"
"""A definition whose `_meta` has this under that key comes from a server that nobody here vouches for."""


class Hints(NamedTuple):
    """Whether running a tool again is harmless, as every live version says."""

    read_only: bool = False
    idempotent: bool = False
