"""The mesh, or one of its servers, as one MCP server: what gateways, stdio and the SDK transport share."""

from longreach.front.endings import (
    FORBIDDEN,
    OUTCOME_UNKNOWN,
    TIMED_OUT,
    TOO_LARGE,
    UNAVAILABLE,
    Answer,
)
from longreach.front.filters import Filters
from longreach.front.front import LISTEN, Front

__all__ = [
    "FORBIDDEN",
    "LISTEN",
    "OUTCOME_UNKNOWN",
    "TIMED_OUT",
    "TOO_LARGE",
    "UNAVAILABLE",
    "Answer",
    "Filters",
    "Front",
]
