"""The trace that the present call belongs to, so that what it calls belongs to it too.

Three texts as W3C Trace Context and Baggage have them; longreach passes them on and reads none of them.
Source: MCP 2026-07-28 basic (`_meta`: traceparent, tracestate, baggage).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol


class Trace(NamedTuple):
    """Where in which trace something happens; None: not stated."""

    traceparent: str | None = None
    tracestate: str | None = None
    baggage: str | None = None


class Traced(Protocol):
    """What belongs to a trace: a running call."""

    @property
    def trace(self) -> Trace | None:
        """Its trace; None where its request states none."""
        ...


CALL: ContextVar[Traced] = ContextVar("longreach_call")
"""The call that is handled here. One variable for all that is asked of it: the hot path sets it once."""
GIVEN: ContextVar[Trace | None] = ContextVar("longreach_trace", default=None)
"""What `use_trace` says."""


def current_trace() -> Trace | None:
    """The trace of what runs here: as `use_trace` says, or that of the call that is handled; or None."""
    given = GIVEN.get()
    if given is not None:
        return given
    call = CALL.get(None)
    return call.trace if call is not None else None


@contextmanager
def use_trace(trace: Trace | None) -> Iterator[None]:
    """Let what is called within belong to `trace`: a span of the handler's own, say; None: to the call's."""
    token = GIVEN.set(trace)
    try:
        yield
    finally:
        GIVEN.reset(token)
