"""What a tool says of itself."""

from __future__ import annotations

from typing import NamedTuple


class Hints(NamedTuple):
    """Whether running a tool again is harmless, as every live version says."""

    read_only: bool = False
    idempotent: bool = False
